"""TorchScript from what torch.export has recorded: the graph as a function of torch's operators, compiled."""

import builtins
import warnings
from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram
from torch.fx import Graph, GraphModule, Node

# Asked at run time of what is true of any size; TorchScript has no words for them.
ASSERTIONS = ('_assert_scalar', '_assert_tensor_metadata', 'sym_constrain_range_for_size', 'sym_constrain_range')
# Functions of symbols, and what they are of numbers.
OF_NUMBERS = {torch.sym_max: builtins.max, torch.sym_min: builtins.min, torch.sym_float: builtins.float}
# Where tensors are made is for whoever runs it to say.
PLACES = ('device', 'layout', 'pin_memory')


def script(program: ExportedProgram) -> torch.jit.ScriptModule:
    """Compile a program of torch's own operators (see :func:`mmseq.analysis.export.program.with_torchs_own`).

    Not traced from the model: a trace keeps the sizes of the example wherever Python has computed with them.
    """
    # Blocks without autocast or gradients are parts of the graph afterwards.
    program = program.run_decompositions({})
    graph, holder = Graph(), nn.Module()
    copies: dict[Node, Node] = {}
    stored = tensors(program)
    for node in program.graph.nodes:
        if node.name in stored:
            holder.register_buffer(node.name, stored[node.name].detach())
            copies[node] = graph.get_attr(node.name)
        elif getattr(node.target, '_opname', '') not in ASSERTIONS:
            copies[node] = in_torchscript(graph.node_copy(node, copies.__getitem__))
    # The assertions' own sums and comparisons.
    graph.eliminate_dead_code()
    with warnings.catch_warnings():
        # That it is deprecated stands in docs/export.md.
        warnings.simplefilter('ignore')
        return torch.jit.script(GraphModule(holder, graph).eval())


def tensors(program: ExportedProgram) -> dict[str, torch.Tensor]:
    """Weights, buffers and constants by the names of their nodes."""
    signature = program.graph_signature
    names = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    names |= signature.inputs_to_lifted_tensor_constants
    values: dict[str, Any] = {**program.state_dict, **program.constants}
    return {node: values[name] for node, name in names.items()}


def in_torchscript(node: Node) -> Node:
    """A node in TorchScript's words; changed in place."""
    if node.op != 'call_function':
        return node
    node.kwargs = {key: value for key, value in node.kwargs.items() if key not in PLACES}
    if node.target is torch.ops.aten.sym_size.int:
        node.op, node.target = 'call_method', 'size'
    elif node.target is torch.ops.aten.view.default:
        # How tensors lie in memory was recorded for the example.
        node.target = torch.ops.aten.reshape
    elif isinstance(node.target, torch._ops.OpOverload):
        node.target = node.target.overloadpacket
    elif node.target in OF_NUMBERS:
        node.target = OF_NUMBERS[node.target]
    return node

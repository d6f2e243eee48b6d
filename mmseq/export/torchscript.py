"""TorchScript from what torch.export has recorded: the graph as a function of torch's operators, compiled."""

import builtins
import operator
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch._ops import HigherOrderOperator
from torch.export import ExportedProgram
from torch.fx import Graph, GraphModule, Node
from torch.fx.node import map_arg

# Asked at run time of what is true of any size; TorchScript has no words for them.
ASSERTIONS = ('_assert_scalar', '_assert_tensor_metadata', 'sym_constrain_range_for_size', 'sym_constrain_range')
# Functions of symbols, and what they are of numbers.
OF_NUMBERS: dict[Any, Callable[..., Any]] = {
    torch.sym_max: builtins.max,
    torch.sym_min: builtins.min,
    torch.sym_float: builtins.float,
}
# Where tensors are made is for whoever runs it to say.
PLACES = ('device', 'layout', 'pin_memory')


def script(program: ExportedProgram) -> torch.jit.ScriptModule:
    """Compile a program of torch's own operators (see :func:`mmseq.export.program.with_torchs_own`).

    Not traced from the model: a trace keeps the sizes of the example wherever Python has computed with them.
    """
    graph, holder = Graph(), nn.Module()
    copies: dict[Node, Any] = {}
    for node, tensor in tensors(program).items():
        holder.register_buffer(node.name, tensor.detach())
        copies[node] = graph.get_attr(node.name)
    answer = copy_into(graph, program.graph_module, copies)
    graph.output(answer)
    # The sums and comparisons of assertions.
    graph.eliminate_dead_code()
    with warnings.catch_warnings():
        # That it is deprecated stands in docs/export.md.
        warnings.simplefilter('ignore')
        return torch.jit.script(GraphModule(holder, graph).eval())


def copy_into(graph: Graph, source: GraphModule, copies: dict[Node, Any]) -> Any:
    """Copy a module's nodes, in TorchScript's words, behind those of a graph; returns what it answers.

    Args:
        graph: copied into.
        source: copied from. Blocks without autocast or gradients, modules of their own in it, are opened.
        copies: of nodes that are there already; extended.
    """
    for node in source.graph.nodes:
        if node in copies or (node.op == 'get_attr' and isinstance(getattr(source, node.target), GraphModule)):
            continue
        if node.op == 'output':
            return map_arg(node.args[0], copies.__getitem__)
        if isinstance(node.target, HigherOrderOperator):
            place = next(i for i, arg in enumerate(node.args) if isinstance(arg, Node) and arg not in copies)
            block = getattr(source, node.args[place].target)
            inputs = [copies[arg] for arg in node.args[place + 1 :]]
            inner = dict(zip((x for x in block.graph.nodes if x.op == 'placeholder'), inputs, strict=True))
            copies[node] = copy_into(graph, block, inner)
        elif node.target is operator.getitem and isinstance(copies[node.args[0]], (tuple, list)):
            copies[node] = copies[node.args[0]][node.args[1]]
        elif getattr(node.target, '_opname', '') not in ASSERTIONS:
            copies[node] = in_torchscript(graph.node_copy(node, copies.__getitem__))
    raise AssertionError('a graph ends with its output')


def tensors(program: ExportedProgram) -> dict[Node, torch.Tensor]:
    """Weights, buffers and constants by the nodes that stand for them."""
    signature = program.graph_signature
    names = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    names |= signature.inputs_to_lifted_tensor_constants
    values: dict[str, Any] = {**program.state_dict, **program.constants}
    return {node: values[names[node.name]] for node in program.graph.nodes if node.name in names}


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

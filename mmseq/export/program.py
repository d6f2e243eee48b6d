"""A part of a model as torch.export records it, once, for batches and images of every size."""

import operator
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram
from torch.fx import Graph, Node
from torch.fx.experimental import _config as fx_config

from mmseq.errors import InputError
from mmseq.export.parts import Part
from mmseq.export.windows import recordable_windows
from mmseq.ops.dispatch import asked

# Not square, and odd: what is recorded for it must not hold for it alone.
EXAMPLE = (2, 235, 331)
RECURRENCE = torch.ops.mmseq.recurrence.default
# What torch's own operators of recurrent layers are called below Python.
ATEN = {'lstm': torch.ops.aten.lstm.input, 'gru': torch.ops.aten.gru.input, 'rnn_tanh': torch.ops.aten.rnn_tanh.input}


def record(part: Part) -> ExportedProgram:
    """Record a part; its recurrent layers are nodes of ``mmseq::recurrence``.

    Raises:
        InputError: a backend of the operators is asked for by name, or what the part does depends on values or sizes.
    """
    if asked():
        raise InputError(f'MMSEQ_BACKEND={asked()}: unset it, exports choose forms of the operators that any size fits')
    try:
        # As torch.onnx.export itself records: otherwise maps of one cell, and batches of one, are a case of their own.
        # torch gives its modules of settings this method as they are loaded.
        oblivious = fx_config.patch(backed_size_oblivious=True)  # type: ignore[attr-defined]
        with torch.no_grad(), recordable_windows(), oblivious:
            return torch.export.export(
                part.module,
                example(part),
                dynamic_shapes=axes(part),
                # What cannot be proved of every size, such as that a part of a map is not larger than the map, is
                # asked again at run time. What is wrong of some size is found by running several.
                prefer_deferred_runtime_asserts_over_guards=True,
            )
    except (RuntimeError, ValueError, TypeError, NotImplementedError, torch._dynamo.exc.TorchDynamoException) as error:
        reason = f'{type(error).__name__}: {error}'.splitlines()[0]
        other = ' or '.join(f'--part {name}' for name in ('features', 'backbone') if name != part.name)
        raise InputError(f'{part.name}: torch.export cannot record it for all sizes ({reason}); try {other}') from error


def example(part: Part) -> tuple[Tensor, ...]:
    """What a part is recorded with."""
    batch, height, width = EXAMPLE
    images = torch.zeros(1 if part.one else batch, part.channels, height, width)
    return part.given(images, torch.tensor([height + 1, width + 2]))


def axes(part: Part) -> tuple[Any, ...]:
    """Which axes of the inputs have any size."""
    places = (0, 1) if part.picture else (2, 3)
    if part.name == 'model':
        # torch asks how maps of one cell lie in memory, which is all the same, and would have larger images alone.
        free = places if part.one else (0, *places)
        return tuple([dict.fromkeys(free, Dim.DYNAMIC), {}][: len(part.inputs)])
    sides = {place: Dim(name, min=part.least) for place, name in zip(places, ('height', 'width'))}
    return (sides if part.one else {0: Dim('batch', min=1), **sides},)


def recurrences(graph: Graph) -> Iterator[Node]:
    """The recurrent layers in a graph."""
    return (node for node in list(graph.nodes) if node.target is RECURRENCE)


def with_torchs_own(program: ExportedProgram) -> ExportedProgram:
    """The program with torch's operators in place of ours, so that it runs without this package; changed in place."""
    graph = program.graph
    for node in recurrences(graph):
        arguments: tuple[Any, ...] = node.args
        cell, x, state, weights, batch_first = arguments
        states = (state, state) if cell == 'lstm' else state
        bidirectional = state.meta['val'].shape[0] == 2
        with graph.inserting_before(node):
            layer = graph.call_function(
                ATEN[cell], (x, states, weights, True, 1, 0.0, False, bidirectional, batch_first)
            )
            y = graph.call_function(operator.getitem, (layer, 0))
        y.meta = dict(node.meta)
        last = state.meta['val']
        layer.meta['val'] = (node.meta['val'], *(last for _ in range(2 if cell == 'lstm' else 1)))
        node.replace_all_uses_with(y)
        graph.erase_node(node)
    for node in graph.nodes:
        # Where it was written, on the machine that exports.
        node.meta.pop('stack_trace', None)
    program.graph_module.recompile()
    return program

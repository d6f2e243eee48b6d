"""ONNX: recurrent layers as LSTM, GRU and RNN nodes, any batch, height and width, and no trace of this machine."""

import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

import mmseq
from mmseq.errors import InputError
from mmseq.export.parts import Part
from mmseq.export.program import RECURRENCE
from mmseq.runtimes import MARK, OnnxFile

OPSET = 20
# torch's order of the gates, i f g o and r z n, in ONNX's: i o f c and z r h.
GATES = {'lstm': (0, 3, 1, 2), 'gru': (1, 0, 2), 'rnn_tanh': (0,)}


def require() -> None:
    """Raises InputError if a package that this needs is absent."""
    for package in ('onnx', 'onnxscript', 'onnxruntime'):
        try:
            __import__(package)
        except ImportError as error:
            raise InputError(f"{package} is not installed: pip install 'mmseq[onnx]'") from error


@contextmanager
def quiet(logger: str) -> Iterator[None]:
    """Errors alone: onnxscript warns of every constant that it leaves as it is."""
    log = logging.getLogger(logger)
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


def write_onnx(program: ExportedProgram, path: Path, part: Part, opset: int) -> dict[str, Any]:
    """Translate a program and write it to a file.

    Returns:
        How often each operator occurs.

    Raises:
        InputError: a package is absent, or the program has an operator that this opset has no words for.
    """
    require()
    import onnx

    model = translate(program, part, opset)
    for value, tensor in zip(model.graph.output, outputs_of(program)):
        if not value.HasField('type'):
            # torch notes none of what onnxscript's own functions give.
            kind = onnx.helper.np_dtype_to_tensor_dtype(torch.empty(0, dtype=tensor.dtype).numpy().dtype)
            shape = [axis if isinstance(axis, int) else str(axis) for axis in tensor.shape]
            value.CopyFrom(onnx.helper.make_tensor_value_info(value.name, kind, shape))
    axes = axis_names(program, part)
    for value in (*model.graph.input, *model.graph.output):
        for axis in value.type.tensor_type.shape.dim:
            if axis.dim_param:
                axis.dim_param = re.sub(r'\w+', lambda word: axes.get(word[0], word[0]), axis.dim_param)
    # Of values between the nodes: those of weights that were turned have the shapes from before, which stops tools.
    del model.graph.value_info[:]
    onnx.helper.set_model_props(model, {MARK: mmseq.__version__, **part.about})
    onnx.checker.check_model(model)
    onnx.save(model, path)
    counted = Counter(node.op_type for node in model.graph.node)
    return dict(opset=opset, operators=dict(sorted(counted.items())))


def translate(program: ExportedProgram, part: Part, opset: int) -> Any:
    """A program as an ``onnx.ModelProto``; raises InputError where :func:`write_onnx` does."""
    with quiet('onnxscript'):
        try:
            made = torch.onnx.export(
                program,
                input_names=list(part.inputs),
                output_names=list(part.outputs),
                opset_version=opset,
                custom_translation_table=translations(part),
                # See tidy.
                optimize=False,
                verbose=False,
            )
        except (torch.onnx.errors.OnnxExporterError, RuntimeError, ValueError) as error:
            raise InputError(f'{part.name}: no ONNX of opset {opset}: {str(error).splitlines()[0]}') from error
        # None is for the exporter that torch had before.
        assert made is not None
        if made.model.opset_imports.get('') != opset:
            raise InputError(f'{part.name}: no ONNX of opset {opset}: take one from 18 on that onnxscript knows')
        tidy(made.model)
        return made.model_proto


def tidy(model: Any) -> None:
    """Compute what is constant, weights in ONNX's order of the gates among it, and drop what nothing reads.

    torch's own optimisation is that and a search for patterns, whose time grows with the square of the model. What
    runs the file knows such patterns itself.
    """
    from onnx_ir.passes import Sequential, common
    from onnxscript.optimizer import fold_constants

    common.InlinePass()(model)
    fold_constants(model, input_size_limit=2**40, output_size_limit=2**40)
    Sequential(
        common.RemoveUnusedNodesPass(),
        common.RemoveUnusedFunctionsPass(),
        common.RemoveUnusedOpsetsPass(),
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        common.DeduplicateInitializersPass(),
        common.CommonSubexpressionEliminationPass(),
        common.OutputFixPass(),
        common.NameFixPass(),
        # Where it was written, on the machine that exports.
        common.ClearMetadataAndDocStringPass(),
    )(model)


def outputs_of(program: ExportedProgram) -> list[Tensor]:
    """Tensors without values of the program's outputs."""
    values = {node.name: node.meta['val'] for node in program.graph.nodes if 'val' in node.meta}
    return [values[name] for name in program.graph_signature.user_outputs]


def axis_names(program: ExportedProgram, part: Part) -> dict[str, str]:
    """From the symbols of the axes of images and detections to what they are."""
    values = {node.name: node.meta['val'] for node in program.graph.nodes if 'val' in node.meta}
    images = values[program.graph_signature.user_inputs[0]].shape
    axes = ('height', 'width') if part.picture else ('batch', 'channels', 'height', 'width')
    names = {str(axis): name for axis, name in zip(images, axes)}
    if part.detector:
        for output, tensor in zip(part.outputs, outputs_of(program)):
            found = ('rows', 'columns') if output == 'panoptic' else ('detections', 'rows', 'columns')
            names |= {str(axis): word for axis, word in zip(tensor.shape, found) if not str(axis).isdigit()}
    return names


def translations(part: Part) -> dict[Any, Any]:
    """Our operators in ONNX's words."""
    table: dict[Any, Any] = {RECURRENCE: translate_recurrence}
    if part.detector:
        # Imported where it is used: other models need no torchvision.
        from mmseq.export.detection.regions import translate_roi_align
        from mmseq.export.detection.suppression import suppress, translate_suppression

        table[suppress._opoverload] = translate_suppression
        table[torch.ops.torchvision.roi_align.default] = translate_roi_align
    return table


def translate_recurrence(cell: str, x: Any, state: Any, weights: Sequence[Any], batch_first: bool) -> Any:
    """One recurrent layer in ONNX's words, as :func:`mmseq.ops.bilstm2d.recorded.record_recurrence` describes it."""
    from onnxscript import opset18

    # Its functions take Python's numbers and lists too, and values whose type is not known yet.
    op: Any = opset18

    hidden = weights[1].shape[1]
    order = [gate * hidden + i for gate in GATES[cell] for i in range(hidden)]
    rows = op.Constant(value_ints=order)

    def joined(number: int) -> Any:
        """The same weight of all directions, (directions, ...)."""
        return op.Concat(*(op.Unsqueeze(op.Gather(w, rows, axis=0), [0]) for w in weights[number::4]), axis=0)

    kinds: Mapping[str, Any] = {'lstm': op.LSTM, 'gru': op.GRU, 'rnn_tanh': op.RNN}
    # torch's GRU resets after its product with the hidden state.
    options = dict(linear_before_reset=1) if cell == 'gru' else {}
    y = kinds[cell](
        op.Transpose(x, perm=[1, 0, 2]) if batch_first else x,
        joined(0),
        joined(1),
        op.Concat(joined(2), joined(3), axis=1),
        hidden_size=hidden,
        direction='bidirectional' if len(weights) == 8 else 'forward',
        **options,
    )[0]
    # (T, directions, N, D) to the directions beside each other.
    y = op.Transpose(y, perm=[2, 0, 1, 3] if batch_first else [0, 2, 1, 3])
    return op.Reshape(y, [0, 0, -1])


class OnnxRun:
    """Runs a file on the CPU.

    Args:
        path: of the file.
        runtime: of ``mmseq.runtimes.RUNTIMES``.
    """

    def __init__(self, path: Path, runtime: str) -> None:
        self.file = OnnxFile(path, runtime, torch.get_num_threads())

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        arrays = {name: x.numpy() for name, x in zip(self.file.inputs, inputs, strict=True)}
        return tuple(torch.from_numpy(y) for y in self.file(arrays).values())

"""Files of ONNX in onnxruntime and in OpenVINO, as functions from arrays to arrays, without torch."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mmseq.errors import InputError, first_line

Arrays = Mapping[str, np.ndarray]
MARK = 'mmseq'
"""The key of a file's metadata by which it is known as ours; its value is the version that wrote it."""


class OnnxFile:
    """An exported model, opened.

    Args:
        path: of the file.
        runtime: a name of ``RUNTIMES``.
        threads: of the processor; all by default.

    Attributes:
        about: what the file says of itself.
        inputs: of each the type and the shape, in which an axis of any size is None.

    Raises:
        InputError: no such file or package, a file that is no ONNX, not ours, or that the runtime cannot open.
    """

    def __init__(self, path: str | Path, runtime: str = 'onnxruntime', threads: int | None = None) -> None:
        self.path, self.runtime = str(path), runtime
        graph, self.about = read(self.path)
        self.inputs = {value.name: signature(value) for value in graph.input}
        self.outputs = tuple(value.name for value in graph.output)
        self._run = OPENERS[runtime](self.path, self.outputs, threads)

    def __call__(self, arrays: Arrays) -> dict[str, np.ndarray]:
        """The outputs by name.

        Raises:
            InputError: an array of another type or shape than the file takes.
            RuntimeError: the runtime fails.
        """
        for name in self.inputs:
            self._check(name, arrays[name])
        return dict(zip(self.outputs, self._run(arrays), strict=True))

    def _check(self, name: str, given: np.ndarray) -> None:
        """Raises InputError if an array is no input of this name."""
        kind, shape = self.inputs[name]
        fits = len(shape) == given.ndim and all(a in (None, b) for a, b in zip(shape, given.shape))
        if given.dtype != kind or not fits:
            wanted = ' x '.join('any' if n is None else str(n) for n in shape)
            raise InputError(
                f'{self.path}: {name} is {given.dtype} of {" x ".join(map(str, given.shape))}, and the file takes '
                f'{kind} of {wanted}'
            )
        sides = dict(images=given.shape[2:], picture=given.shape[:2]).get(name, ())
        if sides and min(sides) < int(self.about.get('least', 1)):
            raise InputError(
                f'{self.path}: {name} of {sides[0]} x {sides[1]} px, and the file takes sides of '
                f'{self.about["least"]} px and more; enlarge or pad what is smaller'
            )


def read(path: str) -> tuple[Any, dict[str, str]]:
    """The graph of a file of ours and what it says of itself.

    Raises:
        InputError: see :class:`OnnxFile`.
    """
    onnx = package('onnx')
    if not Path(path).is_file():
        raise InputError(f'{path}: no such file')
    try:
        model = onnx.load(path)
    except (onnx.checker.ValidationError, ValueError, OSError, package('google.protobuf.message').DecodeError) as error:
        raise InputError(f'{path}: no file of ONNX, or a damaged one ({first_line(error)})') from error
    about = {entry.key: entry.value for entry in model.metadata_props}
    if MARK not in about:
        raise InputError(f'{path}: was not written by mmseq export-onnx, so that its inputs and outputs are not known')
    return model.graph, about


def signature(value: Any) -> tuple[np.dtype[Any], tuple[int | None, ...]]:
    """The type and the shape of an input."""
    kind = package('onnx').helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
    axes = value.type.tensor_type.shape.dim
    return kind, tuple(axis.dim_value if axis.HasField('dim_value') else None for axis in axes)


def package(name: str) -> Any:
    """A module that is not always installed.

    Raises:
        InputError: it is absent.
    """
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError as error:
        how = 'pip install openvino' if name == 'openvino' else "pip install 'mmseq[onnx]'"
        raise InputError(f'{name} is not installed: {how}') from error


def open_with_onnxruntime(path: str, outputs: tuple[str, ...], threads: int | None) -> Callable[[Arrays], Any]:
    """On the CPU."""
    onnxruntime = package('onnxruntime')
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    faults = tuple(x for x in vars(state).values() if isinstance(x, type) and issubclass(x, Exception))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    # Errors alone; they are raised as well.
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(path, options, providers=['CPUExecutionProvider'])
    except faults as error:
        raise InputError(
            f'{path}: onnxruntime {onnxruntime.__version__} cannot open it ({last_line(error)})'
        ) from error

    def run(arrays: Arrays) -> Any:
        try:
            return session.run(list(outputs), dict(arrays))
        except faults as error:
            raise RuntimeError(f'onnxruntime: {last_line(error)}') from error

    return run


def open_with_openvino(
    path: str, outputs: tuple[str, ...], threads: int | None, precision: str = 'f32'
) -> Callable[[Arrays], Any]:
    """On the CPU, in float32 or in OpenVINO's word for another precision."""
    openvino = package('openvino')
    settings: dict[str, Any] = {'INFERENCE_PRECISION_HINT': precision, 'PERFORMANCE_HINT': 'LATENCY'}
    if threads:
        settings['INFERENCE_NUM_THREADS'] = threads
    try:
        compiled = openvino.Core().compile_model(path, 'CPU', settings)
    except RuntimeError as error:
        raise InputError(f'{path}: OpenVINO {openvino.__version__} cannot open it ({last_line(error)})') from error

    def run(arrays: Arrays) -> Any:
        found = compiled(dict(arrays))
        return [np.array(found[name]) for name in outputs]

    return run


def last_line(error: Exception) -> str:
    """What runtimes say of the cause comes last."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][-300:] if lines else type(error).__name__


OPENERS: Mapping[str, Callable[[str, tuple[str, ...], int | None], Callable[[Arrays], Any]]] = {
    'onnxruntime': open_with_onnxruntime,
    'openvino': open_with_openvino,
}
RUNTIMES = tuple(OPENERS)

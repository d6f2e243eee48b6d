"""The formats of exported models: how each is written, and how its file is run."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.export import ExportedProgram

from mmseq.export.onnx_file import OPSET, OnnxRun, write_onnx
from mmseq.export.parts import Part
from mmseq.export.program import with_torchs_own
from mmseq.export.torchscript import script
from mmseq.runtimes import RUNTIMES

Run = Callable[..., tuple[Tensor, ...]]


class Format(NamedTuple):
    """One format.

    Args:
        suffix: of the file.
        write: puts a program into a file and says what is in it.
        runs: open a file as a function of the part's inputs, by the names of what runs it.
    """

    suffix: str
    write: Callable[[ExportedProgram, Path, Part, int], dict[str, Any]]
    runs: Mapping[str, Callable[[Path], Run]]


def write_program(program: ExportedProgram, path: Path, part: Part, opset: int) -> dict[str, Any]:
    """torch.export's own file."""
    torch.export.save(with_torchs_own(program), path, extra_files=part.about)
    return dict(torch=torch.__version__)


def write_script(program: ExportedProgram, path: Path, part: Part, opset: int) -> dict[str, Any]:
    """TorchScript, for torch without Python."""
    torch.jit.save(script(with_torchs_own(program)), path, _extra_files=part.about)
    return dict(torch=torch.__version__)


def run_program(path: Path) -> Run:
    """What torch.export has saved."""
    return torch.export.load(path).module()


def run_script(path: Path) -> Run:
    """What TorchScript has saved."""
    return torch.jit.load(path)


FORMATS: Mapping[str, Format] = {
    'onnx': Format('.onnx', write_onnx, {name: partial(OnnxRun, runtime=name) for name in RUNTIMES}),
    'torch_export': Format('.pt2', write_program, {'torch': run_program}),
    'torchscript': Format('.pt', write_script, {'torch': run_script}),
}

__all__ = ['FORMATS', 'OPSET', 'Format', 'Run']

"""A part of a model as a file, whose answers are compared with upstream's code and which is kept if they agree."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmseq.errors import InputError
from mmseq.export.formats import FORMATS, OPSET, Run
from mmseq.export.parts import Part
from mmseq.export.program import EXAMPLE, record
from mmseq.files import draft_beside, put_in_place

# Neither that of the recording nor square, one of them odd on both sides.
SIZES = ((128, 192), (161, 255), (320, 97))
TOLERANCE = 1e-3


@dataclass(frozen=True)
class Difference:
    """Of one output.

    Args:
        absolute: the largest difference of any number; of labels, in the reference's scores for the two.
        largest: the largest number of the reference's.
        pixels: of labels, the share that differ; None for other outputs.
    """

    absolute: float
    largest: float
    pixels: float | None = None

    @property
    def measure(self) -> float:
        """The absolute difference, of numbers beyond 1 in units of the largest, since float32 has seven digits."""
        return self.absolute / max(1.0, self.largest)


@dataclass(frozen=True)
class Check:
    """What came out at one size."""

    batch: int
    height: int
    width: int
    outputs: dict[str, Difference]

    @property
    def worst(self) -> float:
        return max(difference.measure for difference in self.outputs.values())


@dataclass(frozen=True)
class Report:
    """What was exported and how near it is.

    Args:
        path: of the file, whether or not it was kept.
        part: of the model.
        format: a name of ``FORMATS``.
        bytes: of the file.
        contents: what the format says of it.
        least: pixels that a side of an image has at least.
        about: what stands in the file's metadata.
        checks: one per size.
        tolerance: the largest difference that was let pass.
    """

    path: Path
    part: str
    format: str
    bytes: int
    contents: dict[str, Any]
    least: int
    about: dict[str, str]
    checks: list[Check]
    tolerance: float

    @property
    def worst(self) -> float:
        """The largest difference at any size."""
        return max(check.worst for check in self.checks)

    @property
    def agrees(self) -> bool:
        # A difference that is no number is no agreement.
        return self.worst <= self.tolerance

    def as_dict(self) -> dict[str, Any]:
        """For a JSON file."""
        recorded = dict(zip(('batch', 'height', 'width'), EXAMPLE))
        return {**asdict(self), 'recorded_at': recorded, 'difference': self.worst, 'published': self.agrees}


def export(
    part: Part,
    path: str | Path,
    form: str = 'onnx',
    sizes: Sequence[tuple[int, int]] = SIZES,
    tolerance: float = TOLERANCE,
    opset: int = OPSET,
    on_step: Callable[[str], object] = lambda text: None,
) -> Report:
    """Write a part of a model to a file, if the file answers as the model does.

    Args:
        part: see :func:`mmseq.export.part_of`.
        path: of the file; it appears complete and checked, or not at all, and one that is there is left if it is not.
        form: a name of ``FORMATS``.
        sizes: heights and widths at which the file is compared, with 1, 2 and 3 images in turn.
        tolerance: the largest difference that is let pass.
        opset: ONNX's version of the operators.
        on_step: told of each step that begins.

    Raises:
        InputError: a side is too short, or the part cannot be exported in this format.
    """
    for size in sizes:
        if min(size) < part.least:
            raise InputError(f'size {size[0]} x {size[1]}: the {part.name} is exported for {part.least} px and more')
    target, format_ = Path(path), FORMATS[form]
    on_step('recording')
    program = record(part)
    # With the suffix that torch.export insists on.
    with draft_beside(target, format_.suffix) as draft:
        on_step('writing')
        contents = format_.write(program, draft, part, opset)
        run, checks = format_.run(draft), []
        for number, size in enumerate(sizes):
            on_step(f'comparing at {size[0]} x {size[1]} px')
            checks.append(compare(part, run, number % 3 + 1, size))
        report = Report(
            target, part.name, form, draft.stat().st_size, contents, part.least, part.about, checks, tolerance
        )
        if report.agrees:
            put_in_place(draft, target)
        return report


def compare(part: Part, run: Run, batch: int, size: tuple[int, int]) -> Check:
    """What a file and the reference make of the same random images."""
    generator = torch.Generator().manual_seed(batch)
    noise = torch.rand(batch, part.channels, *size, generator=generator)
    images = 4 * noise - 2 if part.about['values'] == 'normalised' else 255 * noise
    with torch.no_grad():
        answers, expected = run(images), part.reference(images)
    named = dict(zip(part.outputs, zip(answers, expected, strict=True), strict=True))
    found = {name: difference(*pair) for name, pair in named.items() if name != 'labels'}
    if 'labels' in named:
        found['labels'] = score_difference(*named['labels'], part.reference.scores(named['logits'][1]))
    return Check(batch, *size, found)


def difference(answer: Tensor, expected: Tensor) -> Difference:
    """Of two maps; those of different shapes are infinitely far apart."""
    if answer.shape != expected.shape:
        return Difference(float('inf'), 0.0)
    absolute = (answer.double() - expected.double()).abs()
    return Difference(float(absolute.max()), float(expected.abs().max()))


def score_difference(answer: Tensor, expected: Tensor, scores: Tensor) -> Difference:
    """By how much the reference prefers its own labels (B, H, W) to those of a file, in its scores (B, C, H, W)."""
    if answer.shape != expected.shape or int(answer.max()) >= scores.shape[1]:
        return Difference(float('inf'), 0.0, 1.0)
    mine, theirs = (scores.gather(1, labels.long()[:, None]) for labels in (expected, answer))
    share = float((answer.long() != expected.long()).double().mean())
    return Difference(float((mine - theirs).abs().max()), float(scores.abs().max()), share)

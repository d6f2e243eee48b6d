"""A part of a model as a file, whose answers are compared with upstream's code and which is kept if they agree."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from mmseq.datasets.shapes_scene import draw_scene
from mmseq.errors import InputError
from mmseq.export.detection.agreement import SCORE, DetectionCheck
from mmseq.export.detection.agreement import compare as compare_detections
from mmseq.export.formats import FORMATS, OPSET, Run
from mmseq.export.parts import Part
from mmseq.export.program import EXAMPLE, record
from mmseq.files import draft_beside, put_in_place

# Neither that of the recording nor square, one of them odd on both sides.
SIZES = ((128, 192), (161, 255), (320, 97))
# Maps of stride 8 have to hold DINO's 900 queries.
DETECTOR_SIZES = ((256, 384), (321, 255), (480, 161))
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
    """What came out of maps and labels at one size."""

    runtime: str
    batch: int
    height: int
    width: int
    outputs: dict[str, Difference]

    @property
    def worst(self) -> float:
        return max(difference.measure for difference in self.outputs.values())

    def beyond(self, tolerance: float) -> str | None:
        """The first output that differs by more, in words."""
        # A difference that is no number is no agreement.
        far = (name for name, difference in self.outputs.items() if not difference.measure <= tolerance)
        name = next(far, None)
        return name and f'{name} differs by {self.outputs[name].measure:.2g}, let pass up to {tolerance:g}'

    def described(self) -> str:
        """The differences of all outputs."""
        words = []
        for name, difference in self.outputs.items():
            if difference.pixels is None:
                words.append(f'{name} {difference.absolute:.2g} of {difference.largest:.3g}')
            else:
                words.append(f'{name} {100 * difference.pixels:.2g} % of pixels')
        return ', '.join(words)


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
        checks: one per size, of all that ran the file.
        tolerance: the largest difference of maps that was let pass.
    """

    path: Path
    part: str
    format: str
    bytes: int
    contents: dict[str, Any]
    least: int
    about: dict[str, str]
    checks: Sequence[Check | DetectionCheck]
    tolerance: float

    @property
    def worst(self) -> float:
        """The largest difference at any size; of detections in units of what is let pass."""
        return max(check.worst for check in self.checks)

    @property
    def problem(self) -> str | None:
        """The first difference that is too large, and where; None if the file was kept."""
        for check in self.checks:
            if (found := check.beyond(self.tolerance)) is not None:
                return f'{check.runtime}, {check.height} x {check.width} px: {found}'
        return None

    @property
    def agrees(self) -> bool:
        return self.problem is None

    def as_dict(self) -> dict[str, Any]:
        """For a JSON file."""
        recorded = dict(zip(('batch', 'height', 'width'), EXAMPLE))
        verdict = dict(difference=self.worst, published=self.agrees, problem=self.problem)
        return {**asdict(self), 'recorded_at': recorded, **verdict}


def export(
    part: Part,
    path: str | Path,
    form: str = 'onnx',
    sizes: Sequence[tuple[int, int]] = (),
    tolerance: float = TOLERANCE,
    opset: int = OPSET,
    on_step: Callable[[str], object] = lambda text: None,
    pictures: Sequence[np.ndarray] = (),
) -> Report:
    """Write a part of a model to a file, if the file answers as the model does.

    Args:
        part: see :func:`mmseq.export.part_of`.
        path: of the file; it appears complete and checked, or not at all, and one that is there is left if it is not.
        form: a name of ``FORMATS``.
        sizes: heights and widths at which the file is compared, with 1, 2 and 3 images in turn if it takes several;
            ``SIZES``, or ``DETECTOR_SIZES``, by default.
        tolerance: the largest difference of maps that is let pass; that of detections is
            ``mmseq.export.detection.agreement.LIMITS``.
        opset: ONNX's version of the operators.
        on_step: told of each step that begins.
        pictures: (H, W, 3) bytes on which a detector finds something, in turn; embedded shapes by default.

    Raises:
        InputError: a side is too short, the part cannot be exported in this format, or a detector finds nothing.
    """
    sizes = sizes or (DETECTOR_SIZES if part.detector else SIZES)
    for size in sizes:
        if min(size) < part.least:
            raise InputError(f'size {size[0]} x {size[1]}: the {part.name} is exported for {part.least} px and more')
    if part.detector and form != 'onnx':
        raise InputError(f'--format {form}: detectors as a whole are exported as onnx; --part features goes into all')
    target, format_ = Path(path), FORMATS[form]
    on_step('recording')
    program = record(part)
    # With the suffix that torch.export insists on.
    with draft_beside(target, format_.suffix) as draft:
        on_step('writing')
        contents = format_.write(program, draft, part, opset)
        del program
        checks: list[Check | DetectionCheck] = []
        runs = {name: open_file(draft) for name, open_file in format_.runs.items() if is_there(name)}
        for number, size in enumerate(sizes):
            on_step(f'comparing at {size[0]} x {size[1]} px')
            inputs = sample(part, number, size, pictures)
            checks += [compare(part, run, *inputs, runtime=name) for name, run in runs.items()]
        if part.detector and not any(getattr(check, 'detections', 1) for check in checks):
            raise InputError(
                f'the model finds nothing of a score of {SCORE:g} and more on the pictures that its file is compared '
                'on; give some on which there is what it looks for: --pictures FILE ...'
            )
        report = Report(
            target, part.name, form, draft.stat().st_size, contents, part.least, part.about, checks, tolerance
        )
        if report.agrees:
            put_in_place(draft, target)
        return report


def is_there(runtime: str) -> bool:
    """Whether what runs a file is installed: files are compared in OpenVINO where there is one."""
    return find_spec(runtime) is not None


def sample(
    part: Part, number: int, size: tuple[int, int], pictures: Sequence[np.ndarray] = ()
) -> tuple[Tensor, Tensor]:
    """Images (B, channels, H, W) to compare at, and the size (2,) of the picture that they were made of."""
    batch = 1 if part.one else number % 3 + 1
    if part.detector and part.channels == 3:
        picture = pictures[number % len(pictures)] if pictures else draw_scene((0, 1, number), (160, 240), False).image
        image = torch.from_numpy(cv2.resize(picture, size[::-1])).permute(2, 0, 1)[None].float()
        images = normalised(image, part) if part.about['values'] == 'normalised' else image
        return images, torch.tensor(picture.shape[:2])
    noise = torch.rand(batch, part.channels, *size, generator=torch.Generator().manual_seed(batch))
    images = 4 * noise - 2 if part.about['values'] == 'normalised' else 255 * noise
    return images.floor() if part.picture else images, torch.tensor(size)


def normalised(images: Tensor, part: Part) -> Tensor:
    """Images as a part without normalisation takes them."""
    mean, std = (torch.tensor(json.loads(part.about[key])).view(-1, 1, 1) for key in ('mean', 'std'))
    return (images - mean) / std


def compare(part: Part, run: Run, images: Tensor, size: Tensor, runtime: str = '') -> Check | DetectionCheck:
    """What a file and the reference make of the same images."""
    with torch.no_grad():
        answers = run(*part.given(images, size))
        expected = part.reference(images, size) if part.detector else part.reference(images)
    if part.detector:
        mine = {name: x.numpy() for name, x in zip(part.outputs, answers, strict=True)}
        theirs = {name: x.numpy() for name, x in expected.items()}
        return compare_detections(mine, theirs, runtime, images.shape[2], images.shape[3])
    named = dict(zip(part.outputs, zip(answers, expected, strict=True), strict=True))
    found = {name: difference(*pair) for name, pair in named.items() if name != 'labels'}
    if 'labels' in named:
        found['labels'] = score_difference(*named['labels'], part.reference.scores(named['logits'][1]))
    return Check(runtime, images.shape[0], images.shape[2], images.shape[3], found)


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

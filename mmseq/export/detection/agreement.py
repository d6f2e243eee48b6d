"""Whether two say the same of an image: detections one by one, and panoptic segments."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

Arrays = Mapping[str, np.ndarray]
# Below, detections are compared with none: of those that nobody looks at, which ones are kept hangs by the last digit.
SCORE = 0.05
# Pixels, score, one less intersection over union, and share of pixels.
LIMITS = dict(boxes=0.5, scores=1e-3, masks=1e-2, panoptic=1e-3)


@dataclass(frozen=True)
class DetectionCheck:
    """What came out at one size.

    Args:
        runtime: that ran the file.
        height: of the image.
        width: of the image.
        detections: of the reference, at ``SCORE`` and above; None of a model of panoptic segments alone.
        outputs: the largest difference of each, in the units of ``LIMITS``.
        problem: the first difference that is too large, in words; None if there is none.
    """

    runtime: str
    height: int
    width: int
    detections: int | None
    outputs: dict[str, float]
    problem: str | None

    batch = 1

    @property
    def worst(self) -> float:
        """The largest difference in units of what is let pass; infinite where a detection is missing."""
        measured = max((value / LIMITS[name] for name, value in self.outputs.items()), default=0.0)
        return measured if self.problem is None or measured > 1 else float('inf')

    def beyond(self, tolerance: float) -> str | None:
        """The first difference that is too large; detections have limits of their own."""
        return self.problem

    def described(self) -> str:
        """One line."""
        units = dict(boxes=' px', scores='', masks=' of 1 - IoU', panoptic=' of pixels')
        words = [f'{name} {value:.2g}{units[name]}' for name, value in self.outputs.items()]
        number = [] if self.detections is None else [f'{self.detections} detections']
        return ', '.join(number + words)


def compare(answer: Arrays, expected: Arrays, runtime: str, height: int, width: int) -> DetectionCheck:
    """The outputs of a file and the reference's, both by name."""
    outputs: dict[str, float] = {}
    problem, number = None, None
    if 'scores' in expected:
        theirs, mine = above(expected), above(answer)
        number = len(theirs['scores'])
        problem = compare_instances(mine, theirs, outputs)
    if 'panoptic' in expected and problem is None:
        outputs['panoptic'] = share = float((answer['panoptic'] != expected['panoptic']).mean())
        if share > LIMITS['panoptic']:
            problem = f'panoptic: {100 * share:.2g} % of the pixels belong to other segments'
    return DetectionCheck(runtime, height, width, number, outputs, problem)


def above(found: Arrays) -> dict[str, np.ndarray]:
    """Detections at ``SCORE`` and above, the surest first."""
    names = [name for name in ('boxes', 'scores', 'labels', 'masks') if name in found]
    order = np.argsort(-found['scores'], kind='stable')
    order = order[found['scores'][order] >= SCORE]
    return {name: found[name][order] for name in names}


def compare_instances(answer: Arrays, expected: Arrays, outputs: dict[str, float]) -> str | None:
    """Match each detection with the nearest of its class; the first difference that is too large, in words.

    Args:
        answer: of the file.
        expected: of the reference.
        outputs: gets the largest differences.
    """
    mine, theirs = len(answer['scores']), len(expected['scores'])
    if mine != theirs:
        return f'{mine} detections of {SCORE:g} and more in place of {theirs}'
    outputs |= {name: 0.0 for name in ('boxes', 'scores', 'masks') if name in expected}
    free = set(range(mine))
    for number in range(theirs):
        alike = [i for i in free if answer['labels'][i] == expected['labels'][number]]
        what = f'detection {number + 1} (class {expected["labels"][number]}, score {expected["scores"][number]:.3f})'
        if not alike:
            return f'{what}: none of its class is left'
        apart = [differences(answer, i, expected, number) for i in alike]
        least = min(range(len(alike)), key=lambda i: apart[i]['boxes'] + apart[i]['scores'])
        free.discard(alike[least])
        for name, value in apart[least].items():
            outputs[name] = max(outputs[name], value)
            if not value <= LIMITS[name]:
                return f'{what}: {name} differ by {value:.3g}, let pass up to {LIMITS[name]:g}'
    return None


def differences(answer: Arrays, i: int, expected: Arrays, j: int) -> dict[str, float]:
    """Between two detections, in the units of ``LIMITS``."""
    found = dict(
        boxes=float(np.abs(answer['boxes'][i] - expected['boxes'][j]).max()),
        scores=float(abs(answer['scores'][i] - expected['scores'][j])),
    )
    if 'masks' in expected:
        a, b = answer['masks'][i], expected['masks'][j]
        union = (a | b).sum()
        found['masks'] = 1 - float((a & b).sum() / union) if union else 0.0
    return found

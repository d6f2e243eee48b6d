"""Non-maximum suppression for torch.export: one node, which becomes ONNX's NonMaxSuppression."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
import torchvision
from torch import Tensor

from mmseq.errors import InputError


class Found(NamedTuple):
    """Boxes (N, 4) in pixels, their scores (N,) and labels (N,), of one image."""

    boxes: Tensor
    scores: Tensor
    labels: Tensor

    def at(self, places: Tensor) -> 'Found':
        """Those at some places."""
        return Found(self.boxes[places], self.scores[places], self.labels[places])


@torch.library.custom_op('mmseq::suppress', mutates_args=())
def suppress(boxes: Tensor, scores: Tensor, overlap: float, least: float, most: int) -> Tensor:
    """Places of boxes (N, 4) that no better one overlaps by more than ``overlap``, the best first.

    Args:
        boxes: left, top, right, bottom.
        scores: (N,); boxes that do not exceed ``least`` are left out.
        overlap: intersection over union.
        least: see ``scores``.
        most: how many there are at most.
    """
    places = (scores > least).nonzero()[:, 0]
    return places[torchvision.ops.nms(boxes[places], scores[places], overlap)][:most].clone()


@suppress.register_fake
def _(boxes: Tensor, scores: Tensor, overlap: float, least: float, most: int) -> Tensor:
    return boxes.new_empty(torch.library.get_ctx().new_dynamic_size(), dtype=torch.int64)


def best(candidates: Found, least: float, nms: Mapping[str, Any], most: int) -> Found:
    """What mmcv's ``batched_nms`` keeps of the candidates whose score exceeds ``least``.

    Args:
        candidates: any number.
        least: a score.
        nms: the head's settings of it.
        most: how many are kept at most; any number if it is not positive.
    """
    boxes, scores, labels = candidates
    apart = boxes
    if not nms.get('class_agnostic', False):
        # Boxes of different classes are moved beyond each other, as upstream does it; an image may have none.
        side = torch.cat([boxes.flatten(), boxes.new_zeros(1)]).amax(0) + 1
        apart = boxes + (labels.to(boxes) * side)[:, None]
    kept = suppress(apart, scores, overlap_of(nms), float(least), most if most > 0 else 2**31 - 1)
    # What upstream does without any box is what its other way does with none: no step may be chosen by the number.
    torch._check(kept.shape[0] >= 1)
    return candidates.at(kept)


def overlap_of(nms: Mapping[str, Any]) -> float:
    """The threshold of a head's suppression.

    Raises:
        InputError: it is of another kind, such as ``soft_nms``.
    """
    kind = nms.get('type', 'nms')
    if kind not in ('nms', torchvision.ops.nms):
        raise InputError(f"test_cfg.nms.type={kind}: only 'nms' is exported; ONNX has no operator for others")
    return float(nms['iou_threshold'])


def translate_suppression(boxes: Any, scores: Any, overlap: float, least: float, most: int) -> Any:
    """``suppress`` in ONNX's words."""
    from onnxscript import opset18

    op: Any = opset18
    # Shapes that are known: OpenVINO wants to see the four corners.
    boxes, scores = op.Reshape(boxes, [1, -1, 4]), op.Reshape(scores, [1, 1, -1])
    rows = op.NonMaxSuppression(boxes, scores, most, overlap, least)
    return op.Squeeze(op.Slice(rows, [2], [3], [1]), [1])

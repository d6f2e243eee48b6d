"""Heads that ask with queries: DINO and its like, and Mask2Former for instances and panoptic segments."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from mmseq.export.detection.deformable import UnitSteps, numbers
from mmseq.export.detection.suppression import Found
from mmseq.ops.symbolic import first
from mmseq.pictures.prediction import INSTANCE_OFFSET

Shape = Sequence[int]


def detect(model: Any, maps: Sequence[Tensor], shape: Shape, padded: Shape) -> Found:
    """What a deformable DETR finds on the maps of one image of ``shape``, padded to ``padded``."""
    from mmdet.structures.bbox import bbox_cxcywh_to_xyxy

    sample = SimpleNamespace(img_shape=tuple(shape), batch_input_shape=tuple(padded))
    with UnitSteps():
        asked = model.forward_transformer(maps, [sample])
    logits, boxes = (x[-1, 0] for x in model.bbox_head(**asked))
    head, number = model.bbox_head, model.test_cfg.get('max_per_img', logits.shape[0])
    if head.loss_cls.use_sigmoid:
        scores, places = logits.sigmoid().flatten().topk(number)
        rows, labels = places // head.num_classes, places % head.num_classes
    else:
        scores, labels = logits.softmax(-1)[:, :-1].max(-1)
        scores, rows = scores.topk(number)
        labels = labels[rows]
    limits = numbers(*shape[::-1], *shape[::-1])
    boxes = bbox_cxcywh_to_xyxy(boxes[rows]) * limits
    return Found(torch.minimum(boxes.clamp(min=0), limits), scores, labels)


def masks_of_queries(
    model: Any, maps: Sequence[Tensor], shape: Shape, padded: Shape, size: Shape
) -> tuple[Tensor, Tensor]:
    """Mask2Former's logits (queries, classes + 1) and masks (queries, H, W) of ``size``, resampled as upstream's."""
    sample = SimpleNamespace(metainfo=dict(batch_input_shape=tuple(padded)))
    logits, masks = model.panoptic_head.predict(maps, [sample])
    masks = first(first(masks, 2, shape[0]), 3, shape[1])
    return logits[0], F.interpolate(masks, size=tuple(size), mode='bilinear', align_corners=False)[0]


def instances(logits: Tensor, masks: Tensor, things: int, most: int) -> tuple[Tensor, ...]:
    """The best queries and classes, those below the number of things, the surest first: boxes to masks (N, H, W)."""
    scores = logits.softmax(-1)[:, :-1]
    values, places = scores.flatten().topk(most)
    rows, labels = places // scores.shape[1], places % scores.shape[1]
    if things < scores.shape[1]:
        kept = (labels < things).nonzero()[:, 0]
        torch._check(kept.shape[0] >= 1)
        values, rows, labels = values[kept], rows[kept], labels[kept]
    masks = masks[rows]
    inside = masks > 0
    area = inside.flatten(1).sum(1)
    values = values * (masks.sigmoid() * inside).flatten(1).sum(1) / (area + 1e-6)
    values, order = values.sort(descending=True)
    inside = inside[order]
    return boxes_of(inside), values, labels[order], inside


def boxes_of(masks: Tensor) -> Tensor:
    """(N, 4) float boxes of masks (N, H, W); zeros for an empty one."""
    low_x, high_x = ends(masks.any(1))
    low_y, high_y = ends(masks.any(2))
    return torch.stack([low_x, low_y, high_x, high_y], 1).float()


def ends(line: Tensor) -> tuple[Tensor, Tensor]:
    """The first place of each row (N, size) that is set, and that behind the last; zeros if there is none."""
    size, line = line.shape[1], line.int()
    low, high = line.argmax(1), size - line.flip(1).argmax(1)
    return low, high * line.amax(1)


def panoptic(logits: Tensor, masks: Tensor, things: int, cfg: Any) -> Tensor:
    """(H, W) ids of segments, as mmdet's fusion head gives them, all queries at once in place of one by one.

    Args:
        logits: (queries, classes + 1), the last of which is none.
        masks: (queries, H, W) logits.
        things: classes below this number are counted one by one.
        cfg: the fusion head's settings.
    """
    (scores, labels), void = logits.softmax(-1).max(-1), logits.shape[1] - 1
    kept = (labels != void) & (scores > cfg.get('object_mask_thr', 0.8))
    masks = masks.sigmoid()
    owner = torch.where(kept[:, None, None], scores[:, None, None] * masks, -1.0).argmax(0)
    queries = torch.arange(len(scores))
    area = (owner == queries[:, None, None]).flatten(1).sum(1)
    whole = (masks >= 0.5).flatten(1).sum(1)
    kept = kept & (area > 0) & (whole > 0) & (area / whole >= cfg.get('iou_thr', 0.8))
    counted = kept & (labels < things)
    ids = torch.where(kept, labels + torch.where(counted, counted.cumsum(0), 0) * INSTANCE_OFFSET, void)
    found = ids[owner]
    if cfg.get('filter_low_score', False):
        found = torch.where(masks.gather(0, owner[None])[0] >= 0.5, found, void)
    return found.int()

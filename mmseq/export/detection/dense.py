"""Heads that say something at each cell of each map: mmdet's anchor and point heads, and region proposals.

Their layers, priors and coders are called; what follows is written anew, since upstream's own steps are chosen by how
many boxes there are.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmseq.errors import InputError
from mmseq.export.detection.suppression import Found, best

# A score that no head gives: candidates that upstream leaves out before it suppresses.
OUT = -1.0


def check_dense(head: nn.Module) -> None:
    """Raises InputError if a head chooses its boxes in a way of its own."""
    from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
    from mmdet.models.dense_heads.gfl_head import GFLHead
    from mmdet.models.dense_heads.rpn_head import RPNHead

    known = [BaseDenseHead._predict_by_feat_single, GFLHead._predict_by_feat_single, RPNHead._predict_by_feat_single]
    if getattr(type(head), '_predict_by_feat_single', None) not in known:
        raise InputError(
            f'{type(head).__name__} chooses its boxes in a way of its own, which is not exported; '
            '--part features exports what stands before it'
        )


def detect(head: Any, maps: Sequence[Tensor], shape: tuple[int, int]) -> Found:
    """What a dense head finds on the maps of one image of ``shape``."""
    cfg = head.test_cfg
    return best(candidates(head, maps, shape, cfg), 0.5 * OUT, cfg.nms, cfg.max_per_img)


def candidates(head: Any, maps: Sequence[Tensor], shape: tuple[int, int], cfg: Mapping[str, Any]) -> Found:
    """The best ``nms_pre`` boxes of each level; those that upstream leaves out have the score ``OUT``."""
    scores, boxes, *factors = head(maps)
    priors = head.prior_generator.grid_priors([x.shape[2:] for x in scores], scores[0].dtype, scores[0].device)
    strides = head.prior_generator.strides
    of_levels = factors[0] if factors else [None] * len(scores)
    levels = [
        of_level(head, score, delta, prior, stride, shape, cfg, factor)
        for score, delta, prior, stride, factor in zip(scores, boxes, priors, strides, of_levels)
    ]
    if is_proposals(head):
        # Levels are suppressed apart, as classes are.
        levels = [found._replace(labels=torch.full_like(found.labels, i)) for i, found in enumerate(levels)]
    return Found(*(torch.cat(parts) for parts in zip(*levels)))


def is_proposals(head: nn.Module) -> bool:
    """Whether a head gives boxes of no class, for other heads to look at."""
    from mmdet.models.dense_heads.rpn_head import RPNHead

    return isinstance(head, RPNHead)


def of_level(
    head: Any,
    scores: Tensor,
    deltas: Tensor,
    priors: Tensor,
    stride: tuple[int, int],
    shape: tuple[int, int],
    cfg: Mapping[str, Any],
    factor: Tensor | None = None,
) -> Found:
    """The candidates of one level, from maps (1, C, H, W)."""
    scores = activated(head, flat(scores, head.cls_out_channels))
    classes = scores.shape[1]
    if not is_proposals(head):
        scores = torch.where(scores > cfg.get('score_thr', 0), scores, OUT)
    values, places = topped(scores.flatten(), cfg.get('nms_pre', -1))
    rows = places // classes
    boxes = decoded(head, flat(deltas, deltas.shape[1] // head.num_base_priors), rows, priors[rows], stride, shape)
    if factor is not None:
        values = torch.where(values > OUT, values * flat(factor, 1).flatten()[rows].sigmoid(), OUT)
    return Found(boxes, without_small(boxes, values, cfg.get('min_bbox_size', -1)), places % classes)


def flat(x: Tensor, channels: int) -> Tensor:
    """A map (1, priors * channels, H, W) as (H * W * priors, channels)."""
    # A clone, since whether a view would do depends on the sizes.
    return x[0].permute(1, 2, 0).clone(memory_format=torch.contiguous_format).view(-1, channels)


def activated(head: Any, scores: Tensor) -> Tensor:
    """Scores (N, classes) from 0 to 1 of a head's outputs."""
    return scores.sigmoid() if head.use_sigmoid_cls else scores.softmax(-1)[:, :-1]


def topped(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The highest ``count`` values and their places, fewer if there are fewer; all if it is not positive."""
    number = scores.shape[0] if count <= 0 else torch.sym_min(count, scores.shape[0])
    return torch.topk(scores, number)


def decoded(
    head: Any, deltas: Tensor, rows: Tensor, priors: Tensor, stride: tuple[int, int], shape: tuple[int, int]
) -> Tensor:
    """Boxes (N, 4) of some rows, by the head's own coder."""
    deltas = deltas[rows]
    if hasattr(head, 'integral'):
        # A distribution over distances for each side, in strides from the middle of the anchor.
        deltas, priors = head.integral(deltas) * stride[0], head.anchor_center(priors)
    return head.bbox_coder.decode(priors, deltas, max_shape=shape)


def without_small(boxes: Tensor, scores: Tensor, least: float) -> Tensor:
    """The scores, those of boxes whose sides do not exceed ``least`` replaced; all are let pass if it is negative."""
    if least < 0:
        return scores
    sides = boxes[:, 2:] - boxes[:, :2]
    return torch.where((sides > least).all(1), scores, OUT)

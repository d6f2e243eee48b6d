"""Non-maximum suppression with the calling convention of `mmcv._ext`.

Boxes are (N, 4) corners x1, y1, x2, y2; `offset` 0 or 1 is what is added to x2 - x1 and y2 - y1 for width and height.
"""

from __future__ import annotations

import numpy as np
import torch
import torchvision
from torch import Tensor

from mmseq.compat.mmcv_ops.precision import widen

NAIVE, LINEAR, GAUSSIAN = range(3)


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Greedy suppression of boxes (N, 4) whose IoU with a better one is above the threshold.

    Returns:
        Indices (K,) int64 of the kept boxes, scores descending; equal scores keep the order of input.
    """
    boxes, scores = widen(boxes, scores)
    # Width and height grow by the offset when the far corner moves by it; torchvision knows no offset.
    boxes = torch.cat([boxes[:, :2], boxes[:, 2:] + offset], dim=1)
    # mmcv takes the threshold in single precision: an IoU of exactly 3/10 must not pass 0.3 in double.
    return torchvision.ops.nms(boxes, scores, float(np.float32(iou_threshold)))


def softnms(
    boxes: Tensor,
    scores: Tensor,
    dets: Tensor,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
    offset: int,
) -> Tensor:
    """Soft-NMS (arXiv 1704.04503): the scores of overlapping boxes decay; what falls below `min_score` is dropped.

    Args:
        boxes: (N, 4).
        scores: (N,).
        dets: (N, 5) buffer; its first K rows receive the kept boxes and their decayed scores, in order of selection.
        method: 0 naive (score 0 at or above the IoU threshold), 1 linear (1 - IoU there), 2 Gaussian (exp(-IoU^2 / s)).

    Returns:
        Indices (K,) int64 of the kept boxes, in order of selection.
    """
    if method not in (NAIVE, LINEAR, GAUSSIAN):
        raise ValueError(f'softnms: method must be 0 (naive), 1 (linear) or 2 (gaussian), got {method}')
    wide_boxes, wide_scores = widen(boxes, scores)
    rows = torch.cat([wide_boxes, wide_scores[:, None]], dim=1).cpu().numpy().copy()
    indices = np.arange(len(rows), dtype=np.int64)
    done = 0
    while done < len(rows):
        # The selected row changes places with the first open one, as in mmcv: it decides between equal scores.
        best = done + int(rows[done:, 4].argmax())
        rows[[done, best]] = rows[[best, done]]
        indices[[done, best]] = indices[[best, done]]
        rest = rows[done + 1 :]
        rest[:, 4] *= _decay(_iou(rows[done], rest, offset), iou_threshold, sigma, method)
        order = _close_gaps(~(rest[:, 4] < min_score))
        rows = np.concatenate([rows[: done + 1], rest[order]])
        indices = np.concatenate([indices[: done + 1], indices[done + 1 :][order]])
        done += 1
    dets[: len(rows)] = torch.from_numpy(rows).to(dets)
    return torch.from_numpy(indices).to(scores.device)


def nms_match(dets: Tensor, iou_threshold: float) -> list[list[int]]:
    """Groups of boxes: each kept one first, then those that it suppresses (IoU at or above the threshold).

    Args:
        dets: (N, 5), boxes and scores.

    Returns:
        The indices of each group, scores descending within and between groups.
    """
    rows = widen(dets)[0].cpu()
    # mmcv compares single-precision numbers here too.
    threshold = np.float32(iou_threshold)
    order = rows[:, 4].argsort(descending=True, stable=True).numpy()
    boxes = rows.numpy()
    groups = []
    while len(order):
        best, rest = order[0], order[1:]
        suppressed = _iou(boxes[best], boxes[rest], offset=0) >= threshold
        groups.append([int(best), *rest[suppressed].tolist()])
        order = rest[~suppressed]
    return groups


def _iou(box: np.ndarray, others: np.ndarray, offset: int) -> np.ndarray:
    """IoU (N,) of one box (4 or more,) with others (N, 4 or more); nan where both are empty."""
    sides = np.minimum(box[2:4], others[:, 2:4]) - np.maximum(box[:2], others[:, :2]) + offset
    intersection = sides.clip(min=0).prod(axis=1)
    areas = (others[:, 2:4] - others[:, :2] + offset).prod(axis=1)
    with np.errstate(invalid='ignore', divide='ignore'):
        return intersection / ((box[2:4] - box[:2] + offset).prod() + areas - intersection)


def _decay(iou: np.ndarray, iou_threshold: float, sigma: float, method: int) -> np.ndarray:
    """The factors (N,) on the scores of boxes with the given IoU with the selected one."""
    if method == GAUSSIAN:
        return np.exp(-(iou * iou) / np.float32(sigma)).astype(iou.dtype)
    factor = 1 - iou if method == LINEAR else np.zeros_like(iou)
    return np.where(iou >= np.float32(iou_threshold), factor, np.ones_like(iou))


def _close_gaps(keep: np.ndarray) -> np.ndarray:
    """The order in which mmcv leaves the kept ones of N rows: each gap is filled from the end.

    It only matters between equal scores, where the first row wins.
    """
    count = int(keep.sum())
    order = np.arange(count)
    order[~keep[:count]] = (count + np.flatnonzero(keep[count:]))[::-1]
    return order

"""Sigmoid focal loss with the calling convention of `mmcv._ext` (RetinaNet, arXiv 1708.02002, equation 5)."""

from __future__ import annotations

import torch
from torch import Tensor

from mmseq.compat.mmcv_ops.precision import widen

# mmcv clamps probabilities to the smallest normal number of single precision before the logarithm, in every precision.
TINY = torch.finfo(torch.float32).tiny


def sigmoid_focal_loss_forward(
    input: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float, alpha: float
) -> None:
    """Fill `output` (N, C) with the unreduced loss.

    Args:
        input: logits (N, C).
        target: class indices (N,) int64; C, or any negative number, is background.
        weight: (C,), a factor for all C losses of a row by the class of its target, or empty. Rows of background,
            for which mmcv reads beyond the end of `weight`, have factor 1.

    Raises:
        ValueError: a target is above C.
    """
    if input.numel() == 0:
        return
    _check_target(target, input.shape[1])
    positive, p, q = _probabilities(input, target)
    loss = torch.where(
        positive,
        -alpha * q.pow(gamma) * p.clamp(min=TINY).log(),
        (alpha - 1) * p.pow(gamma) * q.clamp(min=TINY).log(),
    )
    output.copy_(loss * _row_weight(target, weight, loss))


def sigmoid_focal_loss_backward(
    input: Tensor, target: Tensor, weight: Tensor, grad_input: Tensor, gamma: float, alpha: float
) -> None:
    """Fill `grad_input` (N, C) with the derivative of each element of the loss by its logit; arguments as forward."""
    if input.numel() == 0:
        return
    _check_target(target, input.shape[1])
    positive, p, q = _probabilities(input, target)
    grad = torch.where(
        positive,
        -alpha * q.pow(gamma) * (q - gamma * p * p.clamp(min=TINY).log()),
        (alpha - 1) * p.pow(gamma) * (gamma * q * q.clamp(min=TINY).log() - p),
    )
    grad_input.copy_(grad * _row_weight(target, weight, grad))


def _check_target(target: Tensor, num_classes: int) -> None:
    highest = int(target.max())
    if highest > num_classes:
        raise ValueError(f'sigmoid_focal_loss: target {highest} is above the number of classes, {num_classes}')


def _probabilities(input: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Where the class is the target's, the probability p, and 1 - p: all (N, C)."""
    (logits,) = widen(input)
    classes = torch.arange(input.shape[1], device=input.device)
    # Written out as in mmcv: near saturation the last bit of p decides between log(1 - p) = -17 and -87.
    p = 1 / (1 + (-logits).exp())
    return target[:, None] == classes, p, 1 - p


def _row_weight(target: Tensor, weight: Tensor, like: Tensor) -> Tensor:
    """The factor (N, 1) of each row."""
    if weight.numel() == 0:
        return like.new_ones(())
    inside = (target >= 0) & (target < weight.numel())
    factor = weight.to(like)[torch.where(inside, target, 0)]
    return torch.where(inside, factor, 1)[:, None]

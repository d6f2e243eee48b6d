"""mmseg's losses over pixels to ignore: a batch that holds no others, and class weights beside them.

- Binary cross entropy takes the maximum of no labels at all, which torch refuses: a crop of ignored pixels only ends a
  training, and again at the same place after every ``--resume``.
- Cross entropy with ``class_weight`` looks up the weight of class 255, which there is not.
- The Lovász loss gives a map where a number is expected, NaN with ``per_image``, and fails on a single pixel; OHEM's
  cross entropy gives a number without a gradient.

A batch without labels has the loss 0 and the gradient 0 here. Each can go once mmseg takes such batches.
"""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mmseq.compat.import_hooks import when_imported

if TYPE_CHECKING:
    from torch import Tensor

LOSSES = 'mmseg.models.losses'


def install() -> None:
    """Patch mmseg's losses when they are imported; nothing is imported here."""
    when_imported(f'{LOSSES}.cross_entropy_loss', _patch_cross_entropy)
    when_imported(f'{LOSSES}.lovasz_loss', _patch_lovasz)
    when_imported(f'{LOSSES}.ohem_cross_entropy_loss', _patch_ohem)


def _patch_cross_entropy(module: Any) -> None:
    module.binary_cross_entropy = _of_empty_batches(module.binary_cross_entropy)
    module.cross_entropy = _of_weighted_classes(module.cross_entropy)


def _of_empty_batches(original: Callable[..., Any]) -> Callable[..., Any]:
    """Binary cross entropy that takes a batch without labels for one of weight 0."""

    @functools.wraps(original)
    def binary_cross_entropy(
        pred: 'Tensor',
        label: 'Tensor',
        weight: 'Tensor | None' = None,
        *args: Any,
        ignore_index: int = -100,
        **kwargs: Any,
    ) -> 'Tensor':
        if pred.size(1) == 1 and bool((label == ignore_index).all()):
            label = label.new_zeros(label.shape)
            weight = pred.new_zeros(label.shape)
        return original(pred, label, weight, *args, ignore_index=ignore_index, **kwargs)

    return binary_cross_entropy


def _of_weighted_classes(original: Callable[..., Any]) -> Callable[..., Any]:
    """Cross entropy whose mean over weighted classes passes over ignored pixels, or counts them once, as without."""

    @functools.wraps(original)
    def cross_entropy(
        pred: 'Tensor',
        label: 'Tensor',
        weight: 'Tensor | None' = None,
        class_weight: 'Tensor | None' = None,
        reduction: str = 'mean',
        avg_factor: Any = None,
        ignore_index: int = -100,
        avg_non_ignore: bool = False,
    ) -> 'Tensor':
        if class_weight is not None and reduction == 'mean' and avg_factor is None:
            ignored = label == ignore_index
            weights = class_weight[label.masked_fill(ignored, 0)]
            avg_factor = weights.masked_fill(ignored, 0.0 if avg_non_ignore else 1.0).sum()
        return original(pred, label, weight, class_weight, reduction, avg_factor, ignore_index, avg_non_ignore)

    return cross_entropy


def _patch_lovasz(module: Any) -> None:
    original = module.lovasz_softmax_flat

    @functools.wraps(original)
    def lovasz_softmax_flat(probs: 'Tensor', labels: 'Tensor', *args: Any, **kwargs: Any) -> 'Tensor':
        if probs.numel() == 0:
            return probs.sum()
        # A single pixel has lost its dimension.
        return original(probs if probs.dim() == 2 else probs[None], labels, *args, **kwargs)

    module.lovasz_softmax_flat = lovasz_softmax_flat


def _patch_ohem(module: Any) -> None:
    original = module.OhemCrossEntropy.forward

    @functools.wraps(original)
    def forward(self: object, score: 'Tensor', target: 'Tensor') -> 'Tensor':
        loss = original(self, score, target)
        return loss if loss.requires_grad or not score.requires_grad else loss + 0 * score.sum()

    module.OhemCrossEntropy.forward = forward

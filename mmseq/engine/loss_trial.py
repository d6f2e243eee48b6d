"""The losses of a segmentor, computed once before training on maps that are made up.

What fails there would fail at the first iteration, after minutes of loading: weights for another number of classes,
samplers and losses for heads of another form.
"""

from collections.abc import Iterator
from math import prod
from typing import Any

import torch
from mmengine.structures import BaseDataElement, PixelData
from torch import Tensor, nn

from mmseq.engine.bare_model import bare_model
from mmseq.errors import InputError, first_line

HEADS = ('decode_head', 'auxiliary_head')
# Height and width, which no number of classes equals: else weights of classes would fit rows of pixels.
SIZES = ((7, 11), (13, 17))
# What upstream's losses and torch raise at what does not fit.
REFUSALS = (RuntimeError, IndexError, ValueError, AssertionError, TypeError, NotImplementedError)


def check_losses(model: nn.Module) -> None:
    """Compute the losses of a segmentor's heads; of heads with a way of their own to compute them, nothing.

    No random number is drawn, and no parameter, buffer or gradient changes.

    Raises:
        InputError: class weights that do not fit, a loss that fails or that nothing can be learnt from.
    """
    for key, head in decode_heads(bare_model(model)):
        for name, loss in numbered(f'{key}.loss_decode', head.loss_decode):
            check_class_weight(name, loss, head.out_channels)
        check_loss(key, head)


def decode_heads(model: nn.Module) -> Iterator[tuple[str, Any]]:
    """The heads that compute their losses as mmseg's ``BaseDecodeHead`` does, with their dotted keys."""
    for name in HEADS:
        for key, head in numbered(f'model.{name}', getattr(model, name, None)):
            base: Any = next((base for base in type(head).__mro__ if base.__name__ == 'BaseDecodeHead'), None)
            if base and type(head).loss_by_feat is base.loss_by_feat:
                yield key, head


def numbered(key: str, found: Any) -> Iterator[tuple[str, Any]]:
    """What a model holds as one module or as several, each with its dotted key."""
    if isinstance(found, nn.ModuleList):
        yield from ((f'{key}.{i}', item) for i, item in enumerate(found))
    elif found is not None:
        yield key, found


def check_class_weight(key: str, loss: nn.Module, channels: int) -> None:
    """Raises InputError for weights of another number than the classes, which some losses take without a word."""
    weights = getattr(loss, 'class_weight', None)
    if weights is None or isinstance(weights, (str, float)):
        return
    sigmoid = getattr(loss, 'use_sigmoid', False) and type(loss).__name__ == 'CrossEntropyLoss'
    if sigmoid and channels > 1:
        raise InputError(
            f'config: {key}: class_weight with use_sigmoid=True weighs columns of pixels, not classes; leave one of '
            'them out'
        )
    if len(weights) != channels:
        raise InputError(
            f'config: {key}.class_weight has {len(weights)} weights, but the head gives {channels} maps; give one each'
        )


def check_loss(key: str, head: Any) -> None:
    """Raises InputError if the loss of a head fails, or if its gradient is 0 everywhere."""
    logits, samples = made_up(head)
    what = f'config: {key}: on maps of {head.out_channels} channels for {head.num_classes} classes'
    try:
        losses = head.loss_by_feat(logits, samples)
        # As upstream adds them up.
        total = sum(value.mean() for name, value in losses.items() if 'loss' in name)
        learnt = bool(torch.autograd.grad(total, logits)[0].any())
    except REFUSALS as error:
        reason = f'{type(error).__name__}: {first_line(error)}'
        raise InputError(f'{what} its loss fails ({reason}); correct loss_decode or sampler') from error
    if not learnt:
        raise InputError(f'{what} its loss is {total:.4g} whatever it predicts; take another loss_decode')


def made_up(head: Any) -> tuple[Tensor, list[Any]]:
    """Scores (2, channels, H, W), and two samples whose labels hold each class and pixels to ignore."""
    device = next(head.parameters()).device
    height, width = next(size for size in SIZES if head.out_channels not in size)
    shape = (2, head.out_channels, height, width)
    scores = torch.arange(prod(shape), device=device).mul(12.9898).sin().reshape(shape).requires_grad_()
    labels = torch.arange(height * width, device=device).remainder(head.num_classes).reshape(1, height, width)
    labels[:, 0] = head.ignore_index
    return scores, [BaseDataElement(gt_sem_seg=PixelData(data=labels)) for _ in range(2)]

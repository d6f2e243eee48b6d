"""Forms of upstream's modules that torch.export can record for every size."""

from collections.abc import Sequence
from copy import deepcopy
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmseq.ops.bilstm2d.recorded import CELLS, record_recurrence
from mmseq.ops.symbolic import along

# mmcv's layers ask whether there is any image, for versions of torch that could not do without; torch's own do not.
WRAPPERS = 'mmcv.cnn.bricks.wrappers'
# mmseg's head copies sizes, and its layer makes numbers of them: those of the example would stand in the file.
MASK2FORMER = 'mmseg.models.decode_heads.mask2former_head'
UPSAMPLE = 'mmseg.models.utils.wrappers'


def portable(module: nn.Module) -> nn.Module:
    """A copy for inference whose pooling and recurrent layers are recorded for every size."""
    copied = deepcopy(module).requires_grad_(False)
    # Not chained: upstream's backbones return nothing from train().
    copied.eval()
    deformable = False
    for child in copied.modules():
        if isinstance(child, nn.AdaptiveAvgPool2d):
            # On this copy alone, and not on its class, as mypy takes it.
            child.forward = partial(pool_to_cells, size=child.output_size)  # type: ignore[method-assign]
        elif isinstance(child, nn.RNNBase) and child.mode.lower() in CELLS and child.num_layers == 1:
            child.forward = partial(run_recurrence, child)
        elif type(child).__module__ == UPSAMPLE and child.scale_factor:
            child.forward = partial(enlarge, child)
        elif type(child).__module__ == MASK2FORMER:
            head: Any = child
            head.predict = partial(predict_logits, head)
        elif type(child).__module__ == WRAPPERS:
            plain: Any = type(child).__mro__[1]
            child.forward = partial(plain.forward, child)
        elif type(child).__name__ == 'MultiScaleDeformableAttention':
            deformable = True
    if deformable:
        # Imported where it is used: only mmdet has such layers.
        from mmseq.export.detection.deformable import make_portable

        make_portable(copied)
    return copied


def pool_to_cells(x: Tensor, size: int | tuple[int | None, int | None] | None) -> Tensor:
    """Adaptive average pooling: (B, C, H, W) to ``(B, C, *size)``, as products with a matrix for each axis.

    An axis whose size is None stays as it is. torch writes the windows down one by one, for the H and W that it sees.
    """
    sizes = size if isinstance(size, tuple) else (size, size)
    for axis, cells in zip((2, 3), sizes):
        if cells is not None:
            x = along(x, axis, window_weights(x.shape[axis], cells).to(x))
    return x


def window_weights(size_in: int, size_out: int) -> Tensor:
    """(size_out, size_in): window i is the mean from floor(i in / out) up to ceil((i + 1) in / out)."""
    windows, cells = torch.arange(size_out)[:, None], torch.arange(size_in)
    start, end = windows * size_in // size_out, ((windows + 1) * size_in + size_out - 1) // size_out
    return ((cells >= start) & (cells < end)).double() / (end - start)


def enlarge(layer: Any, x: Tensor) -> Tensor:
    """What the layer answers: (B, C, H, W) resampled to its factor times H and W, rounded down."""
    up, down = float(layer.scale_factor).as_integer_ratio()
    sizes = [n * up // down for n in x.shape[2:]]
    return F.interpolate(x, sizes, mode=layer.mode, align_corners=layer.align_corners)


def predict_logits(head: Any, maps: Sequence[Tensor], metas: Sequence[Any], test_cfg: Any) -> Tensor:
    """What the head predicts: (B, classes, H, W) of the size of the padded image."""
    logits, masks = (found[-1] for found in head(maps, []))
    masks = F.interpolate(masks, size=metas[0]['pad_shape'], mode='bilinear', align_corners=False)
    return torch.einsum('bqc,bqhw->bchw', logits.softmax(-1)[..., :-1], masks.sigmoid())


def run_recurrence(rnn: nn.RNNBase, x: Tensor) -> tuple[Tensor, None]:
    """What the layer answers, but for its last state."""
    weights = [getattr(rnn, name) for name in rnn._flat_weights_names]
    return record_recurrence(rnn.mode.lower(), x, weights, rnn.batch_first), None

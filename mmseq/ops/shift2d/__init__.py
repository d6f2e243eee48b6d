"""The shift that stands where attention stood in ShiftViT (arXiv 2201.10801)."""

from collections.abc import Callable, Mapping

from torch import Tensor

from mmseq.ops.dispatch import Choice, choose, imported
from mmseq.ops.shift2d.native import shift2d_native
from mmseq.ops.shift2d.reference import shift2d_reference

BACKENDS: Mapping[str, Callable[[Tensor, int], Tensor]] = {
    'reference': shift2d_reference,
    'native': shift2d_native,
    'triton': imported('mmseq.ops.shift2d.triton_impl', 'shift2d_triton'),
}


def shift2d(x: Tensor, n_div: int) -> Tensor:
    """Move four groups of channels by one cell, each in its direction; the rest stays.

    Args:
        x: (B, H, W, C), any H, W >= 1 and any strides.
        n_div: with g = C // n_div, channels [0, g) move left (a cell takes its right neighbour's), [g, 2g) right,
            [2g, 3g) up and [3g, 4g) down. The vacated border is 0. With n_div > C nothing moves.

    Returns:
        (B, H, W, C), contiguous.

    Raises:
        ValueError: n_div < 4, for which the four groups do not fit into C.
    """
    if n_div < 4:
        raise ValueError(f'n_div={n_div}: four groups of C // n_div channels need at least 4')
    native = Choice('native', 'copies in torch, on any device')
    return choose('shift2d', BACKENDS, lambda: native, x, exported=shift2d_reference)(x, n_div)

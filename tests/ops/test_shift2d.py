"""Every backend of shift2d against the written-out shift, forward and gradient, to the bit: nothing is computed."""

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from mmseq import ops
from mmseq.errors import InputError
from mmseq.ops.shift2d import BACKENDS
from mmseq.ops.shift2d.reference import shift2d_reference
from mmseq.ops.shift2d.triton_impl import shift2d_triton

FAST = [name for name in BACKENDS if name != 'reference']
# Channels that n_div does not divide, and more divisions than channels, are among them.
GROUPS = [(12, 12), (13, 4), (11, 5), (24, 12), (3, 4), (48, 12), (20, 5)]


def make(size, channels, layout, dtype=torch.float32):
    x = torch.randn(*size, channels, dtype=dtype)
    if layout == 'from_channels_first':
        x = x.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)
    elif layout == 'transposed':
        x = x.transpose(1, 2).contiguous().transpose(1, 2)
    return x.requires_grad_()


@pytest.mark.usefixtures('poisoned')
@pytest.mark.parametrize('backend', FAST)
@pytest.mark.parametrize('layout', ['contiguous', 'from_channels_first', 'transposed'])
@pytest.mark.parametrize('channels,n_div', GROUPS)
@pytest.mark.parametrize('size', [(2, 1, 1), (1, 7, 5), (3, 1, 6), (1, 6, 1), (2, 4, 4), (1, 37, 73), (1, 5, 96)])
def test_equals_reference(backend, layout, channels, n_div, size):
    x = make(size, channels, layout)
    out_grad = torch.randn(*size, channels)
    expected = shift2d_reference(x, n_div)
    expected_grad = torch.autograd.grad(expected, x, out_grad)[0]
    with ops.use(backend):
        got = ops.shift2d(x, n_div)
    assert got.is_contiguous()
    assert torch.equal(got, expected)
    assert torch.equal(torch.autograd.grad(got, x, out_grad)[0], expected_grad)


@pytest.mark.usefixtures('poisoned')
@pytest.mark.parametrize('backend', FAST)
def test_large_map_equals_reference(backend):
    test_equals_reference(backend, 'from_channels_first', 13, 4, (1, 128, 96))


@pytest.mark.parametrize('backend', BACKENDS)
def test_directions_are_the_authors(backend):
    """One lit cell per channel: the first group moves left, then right, up, down; the rest stays."""
    x = torch.zeros(1, 3, 3, 5)
    x[0, 1, 1] = 1
    with ops.use(backend):
        y = ops.shift2d(x, 5)
    lit = [tuple(y[0, :, :, c].nonzero()[0].tolist()) for c in range(5)]
    assert lit == [(1, 0), (1, 2), (0, 1), (2, 1), (1, 1)]
    assert y.sum() == 5


@pytest.mark.parametrize('backend', BACKENDS)
def test_what_leaves_the_map_is_gone(backend):
    with ops.use(backend):
        y = ops.shift2d(torch.ones(1, 3, 4, 6), 6)
    for channel, border in enumerate((y[0, :, -1], y[0, :, 0], y[0, -1], y[0, 0])):
        assert (border[:, channel] == 0).all()
    assert y.sum() == 3 * 4 * 6 - 3 - 3 - 4 - 4


@pytest.mark.parametrize('backend', BACKENDS)
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64])
def test_precision_is_kept(backend, dtype):
    x = make((1, 4, 3), 8, 'contiguous', dtype)
    with ops.use(backend):
        y = ops.shift2d(x, 4)
    assert y.dtype == dtype
    assert torch.equal(y, shift2d_reference(x, 4))


@pytest.mark.parametrize('backend', BACKENDS)
def test_gradients_of_gradients(backend):
    x = make((1, 2, 2), 5, 'contiguous', torch.float64)
    with ops.use(backend):
        assert torch.autograd.gradcheck(lambda x: ops.shift2d(x, 5), x)
        assert torch.autograd.gradgradcheck(lambda x: ops.shift2d(x, 5).square(), x)


def test_input_is_left_alone():
    x = torch.randn(1, 4, 4, 8)
    before = x.clone()
    ops.shift2d(x, 4).add_(1)
    assert torch.equal(x, before)


def test_four_groups_must_fit():
    with pytest.raises(ValueError, match='n_div=3'):
        ops.shift2d(torch.zeros(1, 2, 2, 8), 3)


def test_unknown_backend_never_falls_back():
    with ops.use('warp'), pytest.raises(InputError, match="shift2d has no backend 'warp'"):
        ops.shift2d(torch.zeros(1, 2, 2, 8), 4)


@pytest.mark.parametrize('channels', [1030, 8])
def test_triton_takes_rows_of_several_blocks(channels):
    """A row of 9 x 1030 elements is ten blocks; channels need not end where blocks do."""
    x = make((1, 3, 9), channels, 'transposed')
    with ops.use('triton'):
        assert torch.equal(ops.shift2d(x, 12), shift2d_reference(x, 12))


def test_triton_operator_passes_torchs_own_check():
    for layout in ('contiguous', 'transposed'):
        torch.library.opcheck(torch.ops.mmseq.shift2d, (make((1, 3, 4), 9, layout), 2, 1))


def test_triton_under_autocast_checkpointing_and_compiled():
    x = make((1, 5, 4), 8, 'contiguous')
    out_grad = torch.randn(x.shape)
    expected = torch.autograd.grad(shift2d_reference(x, 4), x, out_grad)[0]
    compiled = torch.compile(lambda x: torch.ops.mmseq.shift2d(x, 2, 1), backend='aot_eager', fullgraph=True)
    for function in (lambda x: checkpoint(shift2d_triton, x, 4, use_reentrant=False), compiled):
        with torch.autocast('cpu', torch.bfloat16):
            y = function(x)
        assert torch.equal(y, shift2d_reference(x, 4))
        assert torch.equal(torch.autograd.grad(y, x, out_grad)[0], expected)


def test_triton_takes_floating_point_only():
    with ops.use('triton'), pytest.raises(InputError, match='shift2d on backend triton has no int64'):
        ops.shift2d(torch.zeros(1, 2, 2, 8, dtype=torch.int64), 4)

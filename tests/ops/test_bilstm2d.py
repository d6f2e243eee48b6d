"""Every backend of bilstm2d against the written-out recurrence in float64, forward and gradient."""

import pytest
import torch
from torch import nn

from mmseq import ops
from mmseq.errors import InputError
from mmseq.layers.recurrent2d import flat_weights
from mmseq.ops.bilstm2d import BACKENDS
from mmseq.ops.bilstm2d.reference import bilstm2d_reference

SIZES = [(2, 1, 1), (1, 7, 5), (3, 37, 11), (1, 37, 73), (1, 73, 73), (1, 128, 96)]
CHANNELS, HIDDEN = 12, 6
FAST = [name for name in BACKENDS if name != 'reference']
# Triton's interpreter takes milliseconds per step of each scan; its larger sizes stand in bilstm2d/test_triton_impl.py.
CASES = [(name, size) for name in FAST for size in SIZES if name != 'triton' or size[1] * size[2] < 100]


# Where there is a GPU, Triton's kernels are compiled for it and want its tensors.
DEVICES = {'triton': 'cuda'} if torch.cuda.is_available() else {}


def make(
    batch,
    height,
    width,
    dtype,
    bidirectional=True,
    layout='contiguous',
    channels=CHANNELS,
    hidden=HIDDEN,
    device='cpu',
):
    lstms = [nn.LSTM(channels, hidden, bidirectional=bidirectional, batch_first=True) for _ in range(2)]
    weights = [[w.detach().to(device, dtype).requires_grad_() for w in flat_weights(lstm)] for lstm in lstms]
    x = torch.randn(batch, height, width, channels, dtype=dtype, device=device)
    if layout == 'from_channels_first':
        x = x.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)
    return x.requires_grad_(), *weights


def run(function, x, vertical, horizontal, out_grad):
    inputs = [x, *vertical, *horizontal]
    y = function(x, vertical, horizontal)
    return y, torch.autograd.grad(y, inputs, out_grad.to(y.dtype))


def double(tensors):
    return [t.detach().double().requires_grad_() for t in tensors]


@pytest.mark.usefixtures('poisoned')
@pytest.mark.parametrize('backend, size', CASES)
@pytest.mark.parametrize('layout', ['contiguous', 'from_channels_first'])
@pytest.mark.parametrize('bidirectional', [True, False])
def test_equals_reference(backend, layout, bidirectional, size):
    device = DEVICES.get(backend, 'cpu')
    x, vertical, horizontal = make(*size, torch.float32, bidirectional, layout, device=device)
    out_grad = torch.randn(*size, 2 * HIDDEN * (2 if bidirectional else 1), device=device)
    expected = run(bilstm2d_reference, *double([x]), double(vertical), double(horizontal), out_grad)
    with ops.use(backend):
        got = run(ops.bilstm2d, x, vertical, horizontal, out_grad)
    assert got[0].shape == out_grad.shape
    torch.testing.assert_close(got[0].double(), expected[0], rtol=1e-5, atol=1e-6)
    for mine, judge in zip(got[1], expected[1]):
        assert (mine.double() - judge).norm() <= 1e-5 * judge.norm().clamp_min(1e-3)


def test_reference_equals_torch_lstm():
    lstm = nn.LSTM(CHANNELS, HIDDEN, bidirectional=True, batch_first=True).double()
    x = torch.randn(1, 1, 9, CHANNELS, dtype=torch.float64)
    y = bilstm2d_reference(x, flat_weights(lstm), flat_weights(lstm))
    torch.testing.assert_close(y[0, :, :, 2 * HIDDEN :], lstm(x[0])[0])


@pytest.mark.parametrize('backend', FAST)
def test_low_precision_within_twice_torchs_error(backend):
    size = (2, 9, 13)
    x, vertical, horizontal = make(*size, torch.float32, device=DEVICES.get(backend, 'cpu'))
    with torch.no_grad():
        exact = bilstm2d_reference(*double([x]), double(vertical), double(horizontal))
        half = [[t.bfloat16() for t in group] for group in ([x], vertical, horizontal)]
        torchs = bilstm2d_reference(half[0][0], half[1], half[2])
        with ops.use(backend):
            mine = ops.bilstm2d(half[0][0], half[1], half[2])
    assert mine.dtype == torch.bfloat16
    assert (mine.double() - exact).norm() <= 2 * (torchs.double() - exact).norm()


def test_gradcheck_of_reference():
    x, vertical, horizontal = make(1, 3, 2, torch.float64, channels=2, hidden=1)
    flat = [x, *vertical, *horizontal]
    assert torch.autograd.gradcheck(lambda x, *w: bilstm2d_reference(x, w[:8], w[8:]), flat)


def test_unknown_backend_never_falls_back(monkeypatch):
    x, vertical, horizontal = make(1, 2, 2, torch.float32)
    with ops.use('warp'), pytest.raises(InputError, match="no backend 'warp'.*reference, native"):
        ops.bilstm2d(x, vertical, horizontal)
    monkeypatch.setenv('MMSEQ_BACKEND', 'abacus')
    with pytest.raises(InputError, match='abacus'):
        ops.bilstm2d(x, vertical, horizontal)

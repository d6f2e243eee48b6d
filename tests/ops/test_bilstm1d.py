"""Every backend of bilstm1d against torch's module, forward and gradient."""

import pytest
import torch
from torch import nn

from mmseq import ops
from mmseq.layers.recurrent2d import flat_weights
from mmseq.ops.bilstm1d import BACKENDS


@pytest.mark.usefixtures('poisoned')
@pytest.mark.parametrize('backend', BACKENDS)
@pytest.mark.parametrize('bidirectional', [True, False])
@pytest.mark.parametrize('batch,length', [(1, 1), (3, 7), (1, 73)])
def test_equals_torch(backend, bidirectional, batch, length):
    # Triton's kernels know no float64.
    dtype = torch.float32 if backend == 'triton' else torch.float64
    device = 'cuda' if backend == 'triton' and torch.cuda.is_available() else 'cpu'
    lstm = nn.LSTM(6, 4, bidirectional=bidirectional, batch_first=True).to(device, dtype)
    x = torch.randn(batch, length, 6, dtype=dtype, device=device, requires_grad=True)
    inputs = [x, *flat_weights(lstm)]
    expected = lstm(x)[0]
    out_grad = torch.randn_like(expected)
    with ops.use(backend):
        got = ops.bilstm1d(x, flat_weights(lstm))
    torch.testing.assert_close(got, expected)
    for mine, judge in zip(torch.autograd.grad(got, inputs, out_grad), torch.autograd.grad(expected, inputs, out_grad)):
        torch.testing.assert_close(mine, judge)

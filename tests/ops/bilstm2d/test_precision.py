"""Which dtype an LSTM runs in, and that the operators run at every level of processor."""

import os
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from torch import nn

from mmseq import ops
from mmseq.layers import Recurrent2D
from mmseq.layers.recurrent2d import flat_weights
from mmseq.ops.bilstm2d import precision
from mmseq.ops.bilstm2d.native import chunk, in_one_chunk
from mmseq.ops.bilstm2d.precision import asked_dtype, compute_dtype, onednn_dtypes

FLOAT, BRAIN, HALF, DOUBLE = torch.float32, torch.bfloat16, torch.float16, torch.float64
CHANNELS, HIDDEN = 8, 4
ROOT = Path(__file__).parents[3]
# What oneDNN may use, and what torch itself may; the processor may have less than either.
LEVELS = [('AVX2', 'avx2'), ('AVX2', ''), ('AVX512_CORE', '')]
CODE = 'from tests.ops.bilstm2d.test_precision import check_all; check_all()'


@pytest.mark.parametrize(
    'asked, device, facts, expected',
    [
        (FLOAT, 'cpu', {}, FLOAT),
        (DOUBLE, 'cuda', {}, DOUBLE),
        (BRAIN, 'cpu', {}, FLOAT),
        (BRAIN, 'cpu', dict(onednn=(BRAIN,)), BRAIN),
        (HALF, 'cpu', dict(onednn=(BRAIN,)), FLOAT),
        (HALF, 'cpu', dict(onednn=(BRAIN, HALF)), HALF),
        (HALF, 'cuda', dict(cudnn=90100, capability=(7, 0)), HALF),
        (BRAIN, 'cuda', dict(cudnn=91300, capability=(8, 0)), BRAIN),
        (BRAIN, 'cuda', dict(cudnn=91200, capability=(9, 0)), FLOAT),
        (BRAIN, 'cuda', dict(cudnn=91300, capability=(7, 5)), FLOAT),
        (BRAIN, 'cuda', dict(onednn=(BRAIN,)), FLOAT),
        (BRAIN, 'xpu', {}, BRAIN),
    ],
    ids=str,
)
def test_the_dtype_of_the_kernel(asked, device, facts, expected):
    assert compute_dtype(asked, device, **facts) == expected


def test_what_is_asked_for():
    x = torch.zeros(1)
    assert asked_dtype(x) == FLOAT
    assert asked_dtype(x.bfloat16()) == BRAIN
    assert asked_dtype(x.to('meta')) == FLOAT
    with torch.autocast('cpu', torch.float16):
        assert asked_dtype(x) == HALF
        assert asked_dtype(x.double()) == DOUBLE
        assert asked_dtype(x.to('meta')) == FLOAT


@pytest.mark.parametrize('has', [frozenset(), frozenset({BRAIN})], ids=['none', 'bfloat16'])
def test_the_kernel_gets_one_dtype_and_no_autocast(has, monkeypatch):
    """What autocast would make of it is a kernel in float16 on a GPU, and one that may not exist on a CPU."""
    seen = []

    def spy(x, states, weights, *options):
        seen.append(({t.dtype for t in (x, *states, *weights)}, torch.is_autocast_enabled('cpu')))
        return original(x, states, weights, *options)

    original = torch._VF.lstm
    monkeypatch.setattr(torch._VF, 'lstm', spy)
    monkeypatch.setattr(precision, 'onednn_dtypes', lambda: has)
    weights = flat_weights(nn.LSTM(CHANNELS, HIDDEN, bidirectional=True))
    with torch.autocast('cpu', torch.bfloat16):
        for x in (torch.randn(1, 3, CHANNELS), torch.randn(1, 3, CHANNELS).bfloat16()):
            assert ops.bilstm1d(x, weights).dtype == BRAIN
    assert seen == [({BRAIN if has else FLOAT}, False)] * 2


def seen_weights(monkeypatch, run):
    """What a call hands to torch's kernel as weights."""
    seen = []
    original = torch._VF.lstm

    def spy(x, states, weights, *rest):
        seen.append(weights)
        return original(x, states, weights, *rest)

    monkeypatch.setattr(torch._VF, 'lstm', spy)
    run()
    return seen[0]


def test_weights_are_cast_at_once_into_a_chunk_as_cudnn_wants_it(monkeypatch):
    monkeypatch.setattr(precision, 'onednn_dtypes', lambda: {BRAIN})
    weights = flat_weights(nn.LSTM(CHANNELS, HIDDEN, bidirectional=True))
    x = torch.randn(1, 3, CHANNELS)
    with torch.autocast('cpu', BRAIN):
        found = seen_weights(monkeypatch, lambda: ops.bilstm1d(x, weights))
    assert len({w.untyped_storage().data_ptr() for w in found}) == 1
    assert found[0].untyped_storage().nbytes() == 2 * sum(w.numel() for w in weights)
    # The matrices of both directions, then the biases.
    begins = [found[number].storage_offset() for number in (0, 1, 4, 5, 2, 3, 6, 7)]
    assert begins == sorted(begins)
    assert all(torch.equal(a, b.to(BRAIN)) for a, b in zip(found, weights))


def test_weights_that_need_no_copy_get_none(monkeypatch):
    weights = flat_weights(nn.LSTM(CHANNELS, HIDDEN, bidirectional=True))
    found = seen_weights(monkeypatch, lambda: ops.bilstm1d(torch.randn(1, 3, CHANNELS), weights))
    assert all(a is b for a, b in zip(found, weights))


def test_scattered_weights_become_a_chunk_on_a_gpu():
    weights = [w.to('meta') for w in flat_weights(nn.LSTM(CHANNELS, HIDDEN, bidirectional=True))]
    together = chunk(weights, FLOAT)
    assert [w.shape for w in together] == [w.shape for w in weights]
    assert in_one_chunk(together)
    assert chunk(together, FLOAT) is together


def test_asking_onednn_leaves_no_trace():
    """The first that asks may do so while it is traced, or in inference mode."""
    onednn_dtypes.cache_clear()
    weights = [w.detach() for w in flat_weights(nn.LSTM(CHANNELS, HIDDEN, bidirectional=True))]
    with torch.inference_mode(), torch.autocast('cpu', torch.float16):
        traced = torch.jit.trace(lambda x: ops.bilstm1d(x, weights), torch.randn(1, 3, CHANNELS), check_trace=False)
    assert str(traced.graph).count('aten::lstm') == 1
    assert not traced(torch.randn(1, 3, CHANNELS)).requires_grad


@pytest.mark.parametrize('onednn, aten', LEVELS, ids=str)
def test_every_level_of_processor(onednn, aten):
    limits = dict(ONEDNN_MAX_CPU_ISA=onednn, ATEN_CPU_CAPABILITY=aten)
    environment = os.environ | {key: value for key, value in limits.items() if value}
    result = subprocess.run([sys.executable, '-c', CODE], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-2000:]


def check_all():
    """Low precision, by autocast and by the weights' own dtype, trains near float32's results."""
    for dtype in (BRAIN, HALF):
        for module in mixers():
            check(module, dtype)


def mixers():
    yield Recurrent2D(CHANNELS, HIDDEN)
    for cell in ('lstm', 'gru', 'rnn'):
        yield Recurrent2D(CHANNELS, HIDDEN, cell, union='add')


def check(module, dtype):
    x = torch.randn(2, 3, 5, CHANNELS, requires_grad=True)
    exact = module(x)
    with torch.autocast('cpu', dtype):
        found = [(module, module(x)), (module, module(x.to(dtype)))]
    if module.union == 'cat':
        low = deepcopy(module).to(dtype)
        found.append((low, low(x.to(dtype))))
    for one, y in found:
        assert y.dtype == dtype
        assert (y.float() - exact).norm() <= 0.02 * exact.norm()
        one.zero_grad()
        y.float().square().sum().backward()
        for name, parameter in one.named_parameters():
            assert parameter.grad.abs().sum() > 0, name

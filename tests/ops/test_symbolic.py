"""What torch.export records of the operators holds for every size: against what runs otherwise."""

import logging

import pytest
import torch
from torch import nn
from torch.export import Dim
from torch.fx.experimental import _config as fx_config

from mmseq import ops
from mmseq.ops import dispatch
from mmseq.ops.bilstm1d import bilstm1d_recorded
from mmseq.ops.bilstm2d.recorded import bilstm2d_recorded, record_recurrence
from mmseq.ops.bilstm2d.reference import bidirectional_scan, bilstm2d_reference
from mmseq.ops.mlstm.parallel import mlstm_parallel
from mmseq.ops.mlstm.reference import mlstm_reference
from mmseq.ops.resample2d import resample2d, resample2d_recorded
from mmseq.ops.symbolic import along, ceil_div, exporting, first

# The input gate's and the forget gate's standard-normal preactivations: scaled by and moved to.
GATES = {
    'usual': ((1, 0), (1, 4)),
    'forgets': ((1, 0), (1, -30)),
    'writes little': ((1, -30), (1, 3)),
    'all kinds': ((30, 0), (30, 0)),
}


class Chain(nn.Module):
    """All operators one after another, on maps of any size."""

    def __init__(self, dim=8):
        super().__init__()
        self.rows, self.columns = (nn.LSTM(dim, dim // 4, bidirectional=True) for _ in range(2))
        self.line = nn.LSTM(dim, dim // 2, bidirectional=True)

    def weights(self, rnn):
        return [getattr(rnn, name) for name in rnn._flat_weights_names]

    def forward(self, x):
        x = ops.shift2d(x, 4)
        x = ops.bilstm2d(x, self.weights(self.columns), self.weights(self.rows))
        x = x + ops.bilstm1d(x.flatten(1, 2), self.weights(self.line)).view(x.shape)
        heads = x.flatten(1, 2).unflatten(-1, (2, -1)).transpose(1, 2)
        gates = heads.mean(-1)
        x = x + ops.mlstm(heads, heads, heads, gates, gates + 3).transpose(1, 2).flatten(2).view(x.shape)
        size = (ceil_div(14 * x.shape[1], 32), ceil_div(14 * x.shape[2], 32))
        return ops.resample2d(x, 14, 32, size)


def recorded(module, shape):
    axes = {0: Dim('batch', min=1), 1: Dim('height', min=1), 2: Dim('width', min=1)}
    with torch.no_grad(), fx_config.patch(backed_size_oblivious=True):
        return torch.export.export(
            module, (torch.randn(shape),), dynamic_shapes=(axes,), prefer_deferred_runtime_asserts_over_guards=True
        )


def test_a_program_recorded_at_one_size_is_right_at_others(caplog, monkeypatch):
    monkeypatch.setattr(dispatch, '_said', set())
    chain = Chain().eval()
    with caplog.at_level(logging.INFO, 'mmseq'):
        program = recorded(chain, (2, 5, 7, 8))
    assert 'mlstm runs on backend mlstm_parallel: torch.export is recording' in caplog.messages
    assert 'shift2d runs on backend shift2d_reference: torch.export is recording' in caplog.messages
    scans = [node for node in program.graph.nodes if node.target is torch.ops.mmseq.recurrence.default]
    assert len(scans) == 3
    assert not exporting()
    run = program.module()
    with torch.no_grad():
        for shape in [(1, 1, 2, 8), (3, 9, 4, 8), (1, 20, 13, 8)]:
            x = torch.randn(shape)
            torch.testing.assert_close(run(x), chain(x), rtol=1e-5, atol=1e-5)


def test_a_backend_asked_for_by_name_is_recorded(monkeypatch):
    monkeypatch.setattr(dispatch, '_said', set())

    class Scan(nn.Module):
        def forward(self, x):
            weights = [torch.ones(8, 3), torch.ones(8, 2), torch.ones(8), torch.ones(8)]
            return ops.bilstm1d(x, weights)

    with ops.use('reference'):
        program = torch.export.export(Scan(), (torch.randn(1, 4, 3),))
    targets = [str(node.target) for node in program.graph.nodes]
    assert not [name for name in targets if 'recurrence' in name]
    # Four steps, written out.
    assert len([name for name in targets if 'tanh' in name]) == 8


@pytest.mark.parametrize('shape', [(1, 1, 1, 6), (2, 3, 5, 6), (3, 4, 1, 6)])
@pytest.mark.parametrize('directions', [1, 2])
def test_recorded_scans_are_the_references(shape, directions):
    def weights():
        return [torch.randn(size) for size in ((16, 6), (16, 4), (16,), (16,)) * directions]

    x, vertical, horizontal = torch.randn(shape), weights(), weights()
    torch.testing.assert_close(
        bilstm2d_recorded(x, vertical, horizontal), bilstm2d_reference(x, vertical, horizontal), rtol=1e-5, atol=1e-6
    )
    line = x.flatten(1, 2)
    torch.testing.assert_close(
        bilstm1d_recorded(line, vertical),
        bidirectional_scan(line.transpose(0, 1), vertical).transpose(0, 1),
        rtol=1e-5,
        atol=1e-6,
    )


@pytest.mark.parametrize('layer', [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize('batch_first', [True, False])
@pytest.mark.parametrize('bidirectional', [True, False])
def test_recorded_layers_are_torchs(layer, batch_first, bidirectional):
    rnn = layer(5, 3, batch_first=batch_first, bidirectional=bidirectional)
    weights = [getattr(rnn, name) for name in rnn._flat_weights_names]
    x = torch.randn(4, 7, 5)
    got = record_recurrence(rnn.mode.lower(), x, weights, batch_first)
    torch.testing.assert_close(got, rnn(x)[0])
    torch.library.opcheck(
        torch.ops.mmseq.recurrence.default,
        (rnn.mode.lower(), x, x.new_zeros(1 + bidirectional, 4 if batch_first else 7, 3), weights, batch_first),
        test_utils='test_faketensor',
    )


@pytest.mark.parametrize('length', [1, 2, 63, 64, 65, 197])
@pytest.mark.parametrize('gates', GATES)
def test_parallel_mlstm_is_the_reference(gates, length):
    q, k, v = torch.randn(3, 2, 2, length, 12)
    (i_scale, i_mean), (f_scale, f_mean) = GATES[gates]
    igate, fgate = torch.randn(2, 2, 2, length)
    igate, fgate = i_scale * igate + i_mean, f_scale * fgate + f_mean
    if i_scale > 1:
        # Without exp(-m) to hold the normaliser away from 0, products of one sign have to.
        q, k = q.abs(), k.abs()
    expected = mlstm_reference(*(x.double() for x in (q, k, v, igate, fgate)))
    got = mlstm_parallel(q, k, v, igate, fgate)
    assert got.dtype == torch.float32
    assert (got.double() - expected).norm() <= 1e-5 * expected.norm()


def test_parallel_mlstm_over_many_chunks():
    """3000 steps, of which the last 1000 forget as good as nothing: every chunk before still counts."""
    length = 3000
    q, k, v = torch.randn(3, 1, 1, length, 8)
    igate, fgate = torch.randn(2, 1, 1, length)
    fgate[:, :, 2000:] += 30
    with ops.use('chunkwise'):
        expected = ops.mlstm(*(x.double() for x in (q, k, v, igate, fgate + 3)))
    got = mlstm_parallel(q, k, v, igate, fgate + 3)
    assert (got.double() - expected).norm() <= 1e-5 * expected.norm()


@pytest.mark.parametrize('size', [(1, 1), (1, 4), (7, 5)])
@pytest.mark.parametrize('strides', [(14, 4), (14, 32), (7, 7), (16, 8)])
def test_recorded_resampling_is_the_one_that_runs(size, strides):
    x = torch.randn(2, *size, 3)
    target = tuple(max(1, n * strides[0] // strides[1]) for n in size)
    torch.testing.assert_close(
        resample2d_recorded(x, *strides, target), resample2d(x, *strides, target), rtol=1e-5, atol=1e-6
    )


def test_first_and_along():
    x = torch.randn(2, 5, 4, 3)
    assert torch.equal(first(x, 2, 3), x[:, :, :3])
    weights = torch.randn(7, 5)
    torch.testing.assert_close(along(x, 1, weights), torch.einsum('on,bnwc->bowc', weights, x))
    assert [ceil_div(n, 4) for n in (1, 4, 5)] == [1, 1, 2]

"""Under autocast: gates, recurrences and statistics stay in float32, and backbones stay near float32's results."""

import pytest
import torch

from mmseq import ops
from mmseq.layers.global_norm import GlobalNorm
from mmseq.layers.mlstm_layer import MLSTMCell
from mmseq.registry import MODELS

BACKBONES = ['Sequencer2D', 'VSequencer', 'ShiftViT', 'VisionLSTM']
LOW = [torch.bfloat16, torch.float16]


@pytest.mark.parametrize('dtype', LOW, ids=str)
def test_gates_and_sums_of_the_mlstm(dtype):
    cell = MLSTMCell(16, 4, norm_bias=True)
    q, k, v = torch.randn(3, 2, 70, 16).to(dtype).unbind()
    exact = [x.float() for x in (q, k, v)]
    heads = [x.unflatten(-1, (4, -1)).transpose(1, 2) for x in (q, k, v)]
    with torch.autocast('cpu', dtype):
        gates = cell.gates(q, k, v)
        sums = ops.mlstm(*heads, *gates)
    assert {x.dtype for x in (*gates, sums)} == {torch.float32}
    for found, expected in zip(gates, cell.gates(*exact)):
        assert torch.equal(found, expected)
    assert torch.equal(sums, ops.mlstm(*(x.float() for x in heads), *gates))


@pytest.mark.parametrize('dtype', LOW, ids=str)
def test_sums_survive_what_low_precision_cannot_count(dtype):
    """Gates that neither open nor forget add up 600 equal steps; in bfloat16 a sum stops growing at 256."""
    ones = torch.ones(1, 1, 600, 4, dtype=dtype)
    values = torch.linspace(0, 1, 600, dtype=dtype)[None, None, :, None].expand(1, 1, 600, 4)
    gates = torch.zeros(1, 1, 600), torch.full((1, 1, 600), 50.0)
    with torch.autocast('cpu', dtype):
        found = ops.mlstm(ones, ones, values, *gates)
    mean = values.double().cumsum(2) / torch.arange(1, 601)[:, None]
    torch.testing.assert_close(found.double(), mean, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('dtype', LOW, ids=str)
def test_statistics_of_the_norm_over_an_image(dtype):
    norm = GlobalNorm(8)
    x = (torch.randn(1, 32, 32, 8) + 100).to(dtype)
    with torch.autocast('cpu', dtype):
        found = norm(x)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, norm(x.float()))


@pytest.mark.parametrize('dtype', LOW, ids=str)
@pytest.mark.parametrize('name', BACKBONES)
def test_backbones_train_near_float32(name, dtype):
    model = MODELS.build(dict(type=f'mmseq.{name}', arch='nano'))
    images = torch.randn(2, 3, 64, 64)
    plain = model(images)
    with torch.autocast('cpu', dtype):
        low = model(images)
    for a, b in zip(low, plain):
        assert (a.float() - b).norm() < 0.05 * b.norm()
    sum(level.float().square().mean() for level in low).backward()
    for parameter in model.parameters():
        assert parameter.grad.dtype == torch.float32
        assert parameter.grad.isfinite().all()

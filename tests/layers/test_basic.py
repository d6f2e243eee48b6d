import pytest
import torch
from torch.nn import functional as F

from mmseq.layers import DropPath, PatchConv


@pytest.mark.parametrize('compiled', [False, True])
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_drop_path_keeps_the_mean(compiled, dtype):
    torch._dynamo.reset()
    layer = DropPath(0.25)
    drop = torch.compile(layer, backend='eager', fullgraph=True) if compiled else layer
    torch.manual_seed(0)
    x = torch.ones(4000, 2, 3, dtype=dtype, requires_grad=True)
    y = drop(x)
    assert y.dtype == dtype
    y.sum().backward()
    assert torch.equal(x.grad, y)
    # Whole images are kept or lost, and those that stay are divided by 0.75.
    stays = y[:, 0, 0] > 0
    assert torch.equal(y, stays.view(-1, 1, 1) * torch.full_like(x, 1 / 0.75))
    assert stays.float().mean() == pytest.approx(0.75, abs=0.03)
    layer.eval()
    assert torch.equal(drop(x), x)


@pytest.mark.parametrize('p', [0.0, 1.0])
def test_drop_path_of_all_or_nothing(p):
    torch._dynamo.reset()
    drop, x = DropPath(p), torch.randn(5, 2)
    expected = x * (1 - p)
    assert torch.equal(drop(x), expected)
    assert torch.equal(torch.compile(drop, backend='eager', fullgraph=True)(x), expected)


def test_rates_share_compiled_code():
    torch._dynamo.reset()
    graphs = []

    def backend(graph, _):
        graphs.append(graph)
        return graph.forward

    for p in (0.0, 0.1, 0.2):
        drop = DropPath(p)
        drop.compile(backend=backend, dynamic=False)
        drop(torch.ones(3, 2))
    assert len(graphs) == 1


@pytest.mark.parametrize('patch', [1, 2, 7])
@pytest.mark.parametrize('bias', [False, True])
@pytest.mark.parametrize('channels_first', [False, True])
def test_patch_conv_is_a_convolution(patch, bias, channels_first):
    conv = PatchConv(3, 5, patch, bias=bias).double()
    size = (2, 3 * patch, 2 * patch, 3)
    x = torch.randn(size, dtype=torch.float64)
    if channels_first:
        x = x.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)
    inputs = [x.requires_grad_(), *conv.parameters()]
    expected = F.conv2d(x.permute(0, 3, 1, 2), conv.weight, conv.bias, stride=patch).permute(0, 2, 3, 1)
    y = conv(x)
    torch.testing.assert_close(y, expected)
    out_grad = torch.randn_like(y)
    for mine, judge in zip(torch.autograd.grad(y, inputs, out_grad), torch.autograd.grad(expected, inputs, out_grad)):
        torch.testing.assert_close(mine, judge)
    with torch.no_grad():
        torch.testing.assert_close(conv(x), expected)

"""The mLSTM layer against a plain restatement of the paper's formulas, and its directions."""

import pytest
import torch
from torch.nn import functional as F

from mmseq import ops
from mmseq.layers import MLSTMLayer
from mmseq.layers.mlstm_layer import (
    DIRECTIONS,
    CausalConv,
    GridConv,
    HeadNorm,
    HeadwiseLinear,
    turn,
    turn_back,
    wide_linear,
)


def lively(module):
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return module.eval()


def blocks(projection, x):
    """Block-diagonal product, one block of 4 channels after the other."""
    parts = [x[..., 4 * n : 4 * n + 4] @ w.T for n, w in enumerate(projection.weight)]
    y = torch.cat(parts, dim=-1)
    return y if projection.bias is None else y + projection.bias


def restated(layer, scan, conv, x):
    """One image (H, W, C) along its rows, step by step, head by head."""
    height, width, dim = x.shape
    inner = 2 * dim
    both = F.linear(x.flatten(0, 1), layer.up.weight, layer.up.bias)
    x, z = both[:, :inner], both[:, inner:]
    if conv == 'grid':
        image = x.T.reshape(1, inner, height, width)
        c = F.conv2d(image, scan.conv.weight, scan.conv.bias, padding=1, groups=inner)[0].flatten(1).T
    else:
        past = torch.cat([torch.zeros(3, inner, dtype=x.dtype), x])
        taps = scan.conv.weight[:, 0]
        c = torch.stack([(past[t : t + 4].T * taps).sum(1) for t in range(len(x))]) + scan.conv.bias
    c = c * torch.sigmoid(c)
    q, k, v = blocks(scan.q_proj, c), blocks(scan.k_proj, c), blocks(scan.v_proj, x)
    qkv = torch.cat([q, k, v], dim=-1)
    igate = F.linear(qkv, scan.cell.igate.weight, scan.cell.igate.bias)
    forget = F.logsigmoid(F.linear(qkv, scan.cell.fgate.weight, scan.cell.fgate.bias))
    d = inner // 4
    out = torch.zeros_like(x)
    for head in range(4):
        part = slice(head * d, head * d + d)
        for t in range(len(x)):
            logs = [forget[j + 1 : t + 1, head].sum() + igate[j, head] for j in range(t + 1)]
            m = max(logs)
            weights = [(a - m).exp() * (q[t, part] @ k[j, part]) / d**0.5 for j, a in enumerate(logs)]
            norm = max(abs(sum(weights)), (-m).exp()) + 1e-6
            h = sum(w * v[j, part] for j, w in enumerate(weights)) / norm
            out[t, part] = (h - h.mean()) / (h.var(correction=0) + 1e-5).sqrt()
    out = out * scan.cell.norm.weight + (0 if scan.cell.norm.bias is None else scan.cell.norm.bias)
    out = (out + scan.skip * c) * z * torch.sigmoid(z)
    return F.linear(out, layer.down.weight, layer.down.bias).view(height, width, dim)


@pytest.mark.parametrize('conv,bias', [('grid', True), ('causal', False)])
@pytest.mark.parametrize('size', [(3, 4), (5, 1), (1, 1)])
def test_equals_restatement(conv, bias, size):
    layer = lively(MLSTMLayer(8, conv=conv, proj_bias=bias, norm_bias=bias)).double()
    x = torch.randn(2, *size, 8, dtype=torch.float64)
    expected = torch.stack([restated(layer, layer.scans[0], conv, image) for image in x])
    torch.testing.assert_close(layer(x), expected, rtol=1e-9, atol=1e-11)


def test_biases_are_where_a_version_has_them():
    without = dict(MLSTMLayer(8, conv='causal', proj_bias=False, norm_bias=False).named_parameters())
    assert {name for name in without if name.endswith('bias')} == {
        'scans.0.conv.bias',
        'scans.0.cell.igate.bias',
        'scans.0.cell.fgate.bias',
    }
    assert len(dict(MLSTMLayer(8).named_parameters())) == len(without) + 6


@pytest.mark.parametrize('direction', DIRECTIONS)
def test_directions_are_the_order_of_cells(direction):
    cells = torch.arange(12).view(1, 3, 4, 1)
    rows, columns = list(range(12)), [4 * r + c for c in range(4) for r in range(3)]
    order = columns if direction.startswith('columns') else rows
    order = order[::-1] if direction.endswith('reversed') else order
    assert turn(cells, direction).flatten().tolist() == order
    assert torch.equal(turn_back(turn(cells, direction), direction), cells)


@pytest.mark.parametrize('conv', ['grid', 'causal'])
@pytest.mark.parametrize('direction', DIRECTIONS)
def test_a_direction_is_the_turned_map(direction, conv):
    ahead, other = MLSTMLayer(8, conv=conv), MLSTMLayer(8, (direction,), conv=conv)
    other.load_state_dict(lively(ahead).state_dict())
    x = torch.randn(1, 3, 5, 8)
    torch.testing.assert_close(other(x), turn_back(ahead(turn(x, direction)), direction))


def test_reversed_rows_see_only_what_comes_later():
    layer = lively(MLSTMLayer(8, ('rows_reversed',), conv='causal'))
    x = torch.randn(1, 4, 4, 8, requires_grad=True)
    layer(x)[0, 1, 2].sum().backward()
    seen = x.grad.abs().sum(-1).flatten() > 0
    assert seen.tolist() == [False] * 6 + [True] * 10


@pytest.mark.parametrize('shared', [True, False])
def test_several_directions_are_summed_before_the_projection(shared):
    layer = lively(MLSTMLayer(8, ('rows', 'rows_reversed'), shared=shared, proj_bias=False)).double()
    assert len(layer.scans) == (1 if shared else 2)
    x = torch.randn(1, 3, 4, 8, dtype=torch.float64)
    total = 0
    for i, direction in enumerate(layer.directions):
        single = MLSTMLayer(8, (direction,), proj_bias=False).double().eval()
        state = layer.state_dict()
        kept = {name: tensor for name, tensor in state.items() if not name.startswith('scans')}
        scan = layer.scans[0 if shared else i].state_dict()
        single.load_state_dict(kept | {f'scans.0.{name}': tensor for name, tensor in scan.items()})
        total = total + single(x)
    torch.testing.assert_close(layer(x), total)


def test_causal_convolution_is_a_conv1d_without_the_future():
    conv = CausalConv(8)
    x = torch.randn(2, 3, 5, 8)
    padded = F.pad(x.flatten(1, 2).mT, (3, 0))
    expected = F.conv1d(padded, conv.weight, conv.bias, groups=8).mT.reshape(x.shape)
    torch.testing.assert_close(conv(x), expected)
    assert GridConv(8)(x).shape == x.shape


def test_headwise_linear_is_block_diagonal():
    linear = HeadwiseLinear(12)
    torch.nn.init.normal_(linear.weight)
    torch.nn.init.normal_(linear.bias)
    x = torch.randn(2, 3, 12)
    dense = torch.block_diag(*linear.weight)
    torch.testing.assert_close(linear(x), F.linear(x, dense, linear.bias))


@pytest.mark.parametrize('bias', [True, False])
@pytest.mark.parametrize('steps', [1, 5])
def test_norm_and_skip_are_group_norm_and_sum(bias, steps):
    norm = lively(HeadNorm(4, 24, bias)).double()
    h = torch.randn(2, 4, steps, 6, dtype=torch.float64, requires_grad=True)
    c = torch.randn(2, steps, 24, dtype=torch.float64, requires_grad=True)
    skip = torch.randn(24, dtype=torch.float64, requires_grad=True)
    rows = h.transpose(1, 2).reshape(-1, 24)
    expected = F.group_norm(rows, 4, norm.weight, norm.bias).view(c.shape) + skip * c
    inputs = [h, skip, c, *norm.parameters()]
    out_grad = torch.randn_like(expected)
    y = norm(h, skip, c)
    torch.testing.assert_close(y, expected)
    for a, b in zip(torch.autograd.grad(y, inputs, out_grad), torch.autograd.grad(expected, inputs, out_grad)):
        torch.testing.assert_close(a, b)


def test_norm_and_skip_under_autocast():
    norm = lively(HeadNorm(4, 24, True))
    h, c, skip = torch.randn(1, 4, 5, 6), torch.randn(1, 5, 24), torch.randn(24)
    with torch.autocast('cpu', torch.bfloat16):
        y = norm(h, skip, c.bfloat16())
    assert y.dtype == torch.float32
    torch.testing.assert_close(y, norm(h, skip, c), rtol=0.01, atol=0.02)


def test_initialisation_is_the_authors():
    layer = MLSTMLayer(64)
    cell = layer.scans[0].cell
    assert not cell.igate.weight.any()
    assert not cell.fgate.weight.any()
    assert cell.fgate.bias.tolist() == [3, 4, 5, 6]
    assert layer.up.weight.std().item() == pytest.approx((2 / (5 * 64)) ** 0.5, rel=0.05)
    assert layer.scans[0].q_proj.weight.std().item() == pytest.approx((2 / (5 * 64)) ** 0.5, rel=0.1)
    assert layer.down.weight.std().item() == pytest.approx(2 / 8, rel=0.05)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_biases_of_queries_keys_and_values_follow_autocast(dtype):
    projection = lively(MLSTMLayer(8)).scans[0].q_proj
    x = torch.randn(2, 5, 16)
    with torch.autocast('cpu', dtype):
        y = projection(x)
    assert y.dtype == dtype
    torch.testing.assert_close(y.float(), projection(x), rtol=0.02, atol=0.02)


def test_gates_of_low_precision_keep_their_inputs_as_they_are():
    x, weight = torch.randn(2, 5, 16).bfloat16().requires_grad_(), torch.randn(4, 16, requires_grad=True)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.dtype) or t, lambda t: t):
        y = wide_linear(x, weight)
    assert kept == [torch.bfloat16, torch.float32]
    assert y.dtype == torch.float32
    wide = x.detach().float().requires_grad_()
    expected = F.linear(wide, weight)
    assert torch.equal(y, expected)
    grad = torch.randn_like(y)
    found, right = torch.autograd.grad(y, (x, weight), grad), torch.autograd.grad(expected, (wide, weight), grad)
    assert torch.equal(found[0], right[0].bfloat16())
    torch.testing.assert_close(found[1], right[1])


def test_gates_of_low_precision_have_forward_derivatives():
    x, weight = torch.randn(2, 5, 16).bfloat16(), torch.randn(4, 16)
    y, tangent = torch.func.jvp(lambda x: wide_linear(x, weight), (x,), (torch.ones_like(x),))
    assert torch.equal(y, F.linear(x.float(), weight))
    torch.testing.assert_close(tangent, weight.sum(1).expand_as(y))


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_gates_and_sums_stay_in_float32_under_autocast(dtype):
    cell = lively(MLSTMLayer(8)).scans[0].cell
    q, k, v = torch.randn(3, 2, 70, 16).to(dtype)
    heads = [x.unflatten(-1, (4, -1)).transpose(1, 2) for x in (q, k, v)]
    with torch.autocast('cpu', dtype):
        gates = cell.gates(q, k, v)
        sums = ops.mlstm(*heads, *gates)
    assert gates[0].shape == (2, 4, 70)
    assert {x.dtype for x in (*gates, sums)} == {torch.float32}
    for gate, expected in zip(gates, cell.gates(q.float(), k.float(), v.float()), strict=True):
        torch.testing.assert_close(gate, expected)
    assert torch.equal(sums, ops.mlstm(*(x.float() for x in heads), *gates))


def test_bad_arguments():
    with pytest.raises(ValueError, match='directions'):
        MLSTMLayer(8, ('diagonal',))
    with pytest.raises(ValueError, match='conv'):
        MLSTMLayer(8, conv='3d')
    with pytest.raises(ValueError, match='dim=12: expected a multiple of 8'):
        MLSTMLayer(12)


def test_backward_keeps_ten_numbers_per_inner_channel():
    """Input, conv in and out, q, k, v, their common source, h before and after norm and skip, and the gate's branch."""
    layer = MLSTMLayer(64)
    own = {p.untyped_storage().data_ptr() for p in layer.parameters()}
    kept = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            # The tensor is held, so that no other comes to lie where it lay.
            kept[storage.data_ptr()] = (storage.nbytes(), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        layer(torch.randn(1, 32, 32, 64, requires_grad=True))
    numbers = sum(size for size, _ in kept.values()) / 4
    assert numbers <= 10.5 * 1024 * 128

"""The Triton backend of bilstm2d, in its interpreter where there is no GPU; test_bilstm2d.py has what all share."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from mmseq import ops
from mmseq.errors import InputError
from mmseq.layers.recurrent2d import flat_weights
from mmseq.ops.bilstm2d.reference import bilstm2d_reference

ROOT = Path(__file__).parents[3]
DEVICE = 'cuda' if torch.cuda.is_available() else 'cpu'


@pytest.fixture
def impl():
    """The backend's module, which nothing imports before it is asked for."""
    from mmseq.ops.bilstm2d import triton_impl

    return triton_impl


@pytest.fixture
def streamed(impl, monkeypatch):
    """A GPU on which no weights stay on chip."""
    monkeypatch.setattr(impl, 'plan', lambda example, hidden: impl.Plan(resident=False, block=16, rows=16, warps=4))


def make(size, hidden, channels=12, dtype=torch.float32, directions=(2, 2)):
    """x, the weights of the LSTM along H, those of the LSTM along W: leaves that want gradients."""
    lstms = [nn.LSTM(channels, hidden, bidirectional=n == 2) for n in directions]
    weights = [[w.detach().to(DEVICE, dtype).requires_grad_() for w in flat_weights(lstm)] for lstm in lstms]
    return torch.randn(*size, channels, device=DEVICE, dtype=dtype).requires_grad_(), *weights


def cast(groups, dtype):
    x, *weights = groups
    x, *weights = ([t.detach().to(dtype).requires_grad_() for t in group] for group in ([x], *weights))
    return x[0], *weights


def run(function, groups, out_grad):
    """What the function returns, and the gradients, as one list."""
    y = function(*groups)
    x, vertical, horizontal = groups
    return [y, *torch.autograd.grad(y, [x, *vertical, *horizontal], out_grad.to(y.dtype))]


def through_triton(*groups, **options):
    with ops.use('triton'):
        return ops.bilstm2d(*groups, **options)


def assert_equals_reference(groups, bound=1e-6):
    exact = cast(groups, torch.float64)
    y = bilstm2d_reference(*exact)
    out_grad = torch.randn_like(y)
    for mine, judge in zip(run(through_triton, groups, out_grad), run(bilstm2d_reference, exact, out_grad)):
        assert mine.shape == judge.shape
        assert (mine.double() - judge).norm() <= bound * judge.norm().clamp_min(1e-2)


def error(tensors, judges):
    return [(mine.double() - judge).norm().item() for mine, judge in zip(tensors, judges)]


@pytest.mark.usefixtures('poisoned')
@pytest.mark.parametrize('hidden', [1, 8, 16, 48])
def test_hidden_sizes_with_weights_on_chip(impl, hidden):
    assert impl.plan(torch.empty(0), hidden).resident
    assert_equals_reference(make((2, 7, 5), hidden))


@pytest.mark.usefixtures('poisoned')
@pytest.mark.parametrize('hidden', [72, 96, 192])
def test_hidden_sizes_with_streamed_weights(impl, hidden):
    assert not impl.plan(torch.empty(0), hidden).resident
    assert_equals_reference(make((1, 2, 3), hidden, directions=(1, 2)))


@pytest.mark.parametrize('hidden, resident', [(48, True), (64, True), (96, True), (128, True), (192, False)])
def test_half_precision_keeps_up_to_128_channels_on_chip(impl, hidden, resident):
    assert impl.plan(torch.empty(0, dtype=torch.bfloat16), hidden).resident is resident


def test_plan_follows_the_gpu(impl, monkeypatch):
    gpu = SimpleNamespace(major=8, minor=0, shared_memory_per_block_optin=163 * 1024)
    monkeypatch.setattr(torch.cuda, 'get_device_properties', lambda device: gpu)
    example = SimpleNamespace(is_cuda=True, device='cuda', element_size=lambda: 2)
    assert impl.plan(example, 64).resident
    assert not impl.plan(example, 96).resident
    gpu.major, gpu.minor = 7, 5
    with pytest.raises(InputError, match=r'compute capability 8.0, not 7.5'):
        impl.plan(example, 64)


# The interpreter takes 12, 21 and 44 s for these on one core of a Xeon.
LARGE = [pytest.param(size, marks=pytest.mark.long) for size in ((1, 37, 73), (1, 73, 73), (1, 128, 96))]


@pytest.mark.usefixtures('poisoned')
@pytest.mark.parametrize('size', [(2, 13, 9), *LARGE], ids=str)
def test_several_tiles_per_axis(size):
    assert_equals_reference(make(size, 8))


@pytest.mark.usefixtures('poisoned', 'streamed')
@pytest.mark.parametrize('size', [(1, 1, 1), (2, 3, 9)])
def test_streamed_weights_at_odd_sizes(size):
    assert_equals_reference(make(size, 24))


@pytest.mark.parametrize('directions', [(1, 2), (2, 1)])
def test_axes_may_differ_in_directions(directions):
    assert_equals_reference(make((1, 4, 3), 8, directions=directions))


def test_sliced_input_and_expanded_gradient():
    x, vertical, horizontal = make((2, 7, 9), 8, channels=24)
    part = x.detach()[:, 1:-1, ::2, 5:17].requires_grad_()
    groups = (
        part,
        *([w.detach()[:, 5:17] if w.shape[-1] == 24 else w.detach() for w in g] for g in (vertical, horizontal)),
    )
    exact = cast(groups, torch.float64)
    mine, judge = through_triton(*groups).sum(), bilstm2d_reference(*exact).sum()
    mine, judge = torch.autograd.grad(mine, part)[0], torch.autograd.grad(judge, exact[0])[0]
    assert (mine.double() - judge).norm() <= 1e-6 * judge.norm()


@pytest.mark.usefixtures('poisoned')
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
@pytest.mark.parametrize('on_chip', [True, False])
def test_low_precision_within_twice_torchs_error(on_chip, dtype, request):
    if not on_chip:
        request.getfixturevalue('streamed')
    groups = make((1, 9, 5), 16)
    exact = cast(groups, torch.float64)
    out_grad = torch.randn_like(bilstm2d_reference(*exact))
    judges = run(bilstm2d_reference, exact, out_grad)
    torchs = error(run(bilstm2d_reference, cast(groups, dtype), out_grad), judges)
    low = run(through_triton, cast(groups, dtype), out_grad)
    assert {t.dtype for t in low} == {dtype}
    for mine, allowed in zip(error(low, judges), torchs):
        assert mine <= 2 * allowed


@pytest.mark.parametrize('keep', [True, False])
def test_registration(impl, keep):
    projected = torch.randn(1, 3, 2, 4 * 32, device=DEVICE, requires_grad=keep)
    weight = torch.randn(4, 32, 8, device=DEVICE, requires_grad=keep)
    torch.library.opcheck(impl.scan, (projected, weight, 2, keep))
    out, gates, cells = impl.scan(projected.detach(), weight.detach(), 2, True)
    torch.library.opcheck(impl.scan_backward, (torch.randn_like(out), weight.detach(), gates, cells, 2))


def test_compiles_without_a_break(impl):
    groups = make((1, 3, 2), 8)
    compiled = torch.compile(impl.bilstm2d_triton, backend='aot_eager', fullgraph=True)
    expected = run(impl.bilstm2d_triton, groups, torch.ones(1, 3, 2, 32, device=DEVICE))
    for mine, eager in zip(run(compiled, groups, torch.ones(1, 3, 2, 32, device=DEVICE)), expected):
        torch.testing.assert_close(mine, eager)


def test_autocast():
    groups = make((1, 7, 5), 8)
    judge = bilstm2d_reference(*cast(groups, torch.float64))
    half = bilstm2d_reference(*cast(groups, torch.bfloat16))
    with torch.autocast(DEVICE, torch.bfloat16):
        y = through_triton(*groups)
    assert y.dtype == torch.bfloat16
    assert error([y], [judge])[0] <= 2 * error([half], [judge])[0]
    y.sum().backward()
    x, vertical, horizontal = groups
    assert {t.grad.dtype for t in [x, *vertical, *horizontal]} == {torch.float32}


def kept_for_backward(groups, **options):
    """Bytes of distinct storages that autograd holds after a call."""
    storages = {}

    def pack(tensor):
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        through_triton(*groups, **options)
    return sum(storages.values())


def test_recompute_changes_memory_alone():
    groups = make((2, 7, 5), 8)
    out_grad = torch.randn(2, 7, 5, 32, device=DEVICE)
    plain = run(through_triton, groups, out_grad)
    again = run(lambda *g: through_triton(*g, recompute=True), groups, out_grad)
    block = run(lambda *g: checkpoint(through_triton, *g, use_reentrant=False), groups, out_grad)
    for mine, other, third in zip(plain, again, block):
        assert torch.equal(mine, other)
        assert torch.equal(mine, third)
    gates_and_cells = 2 * 7 * 5 * 4 * 5 * 8 * 4
    assert kept_for_backward(groups) > gates_and_cells > kept_for_backward(groups, recompute=True)


def test_nothing_is_kept_without_gradients(impl, monkeypatch):
    seen = []
    original = impl.scan
    monkeypatch.setattr(impl, 'scan', lambda *args: seen.append(args[-1]) or original(*args))
    groups = make((1, 2, 2), 8)
    with torch.no_grad():
        through_triton(*groups)
    through_triton(*groups)
    assert seen == [False, True]


def test_frozen_weights_pass_the_gradient_on():
    x, vertical, horizontal = make((1, 3, 4), 8)
    frozen = [w.detach() for w in vertical], [w.detach() for w in horizontal]
    out_grad = torch.randn(1, 3, 4, 32, device=DEVICE)
    mine = torch.autograd.grad(through_triton(x, *frozen), x, out_grad)[0]
    torch.testing.assert_close(mine, torch.autograd.grad(bilstm2d_reference(x, *frozen), x, out_grad)[0])


def test_what_it_cannot_run_is_said_and_never_run_otherwise(impl, monkeypatch):
    with pytest.raises(InputError, match='has no float64'):
        through_triton(*make((1, 2, 2), 8, dtype=torch.float64))
    x, vertical, _ = make((1, 2, 2), 8)
    with pytest.raises(InputError, match=r'one hidden size for all scans, not \[8, 16\]'):
        through_triton(x, vertical, make((1, 2, 2), 16)[2])
    if DEVICE == 'cpu':
        from mmseq.ops import triton_common

        monkeypatch.setattr(triton_common.INTERPRETED, 'value', False)
        with pytest.raises(InputError, match='needs a CUDA GPU, not cpu'):
            through_triton(*make((1, 2, 2), 8))


def test_compiles_for_a_gpu_that_is_not_here(tmp_path):
    """What the interpreter takes, the compiler may refuse, and a program has only so much shared memory."""
    environment = {key: value for key, value in os.environ.items() if key != 'TRITON_INTERPRET'}
    environment['TRITON_CACHE_DIR'] = str(tmp_path / 'cache')
    script = [sys.executable, 'benchmarks/compile_bilstm2d.py', '--out', str(tmp_path / 'kernels.json')]
    options = ['--hidden', '96', '192', '--dtype', 'bf16']
    subprocess.run([*script, *options], cwd=ROOT, env=environment, check=True, capture_output=True)
    kernels = json.loads((tmp_path / 'kernels.json').read_text())['kernels']
    assert len(kernels) == 4
    assert all(kernel['spilled_bytes'] == 0 for kernel in kernels)

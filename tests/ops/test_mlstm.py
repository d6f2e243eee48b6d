"""Every backend of mlstm against the written-out recurrence in float64, forward and gradient."""

import os
import subprocess
import sys
from itertools import product

import pytest
import torch
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from mmseq import ops
from mmseq.errors import InputError
from mmseq.ops.mlstm import BACKENDS
from mmseq.ops.mlstm.chunkwise import mlstm_chunkwise
from mmseq.ops.mlstm.reference import mlstm_reference
from mmseq.ops.mlstm.triton_impl import mlstm_triton, run_forward

FAST = [name for name in BACKENDS if name != 'reference']
# Triton's interpreter takes a minute for what the others do in one second: it gets fewer and smaller cases.
WHOLE = [name for name in FAST if name != 'triton']
# Gates by kind: what the input gate's and the forget gate's standard-normal preactivations are scaled by and moved to.
GATES = {
    'usual': ((1, 0), (1, 4)),
    'forgets': ((1, 0), (1, -30)),
    'keeps': ((1, 0), (1, 30)),
    'writes much': ((1, 30), (1, 3)),
    'writes little': ((1, -30), (1, 3)),
    'all kinds': ((30, 0), (30, 0)),
}
NAMES = ('q', 'k', 'v', 'igate', 'fgate')


def make(length, gates='usual', batch=2, heads=2, d=12):
    q, k, v = torch.randn(3, batch, heads, length, d)
    (i_scale, i_mean), (f_scale, f_mean) = GATES[gates]
    igate = i_scale * torch.randn(batch, heads, length) + i_mean
    fgate = f_scale * torch.randn(batch, heads, length) + f_mean
    if i_scale > 1 or i_mean > 1:
        # exp(-m) no longer holds the normaliser away from 0: products of one sign do, or no float32 is exact enough.
        q, k = q.abs(), k.abs()
    return q, k, v, igate, fgate


def run(function, inputs, out_grad):
    inputs = [x.detach().requires_grad_() for x in inputs]
    y = function(*inputs)
    return y, torch.autograd.grad(y, inputs, out_grad.to(y.dtype))


def double(inputs):
    return [x.double() for x in inputs]


def quadratic(q, k, v, igate, fgate):
    """The form that the authors released: all pairs of steps at once; gates may have a wider dtype than the rest."""
    length, d = q.shape[2:]
    forgotten = F.logsigmoid(fgate).cumsum(-1)
    log_weight = forgotten[..., :, None] - forgotten[..., None, :] + igate[..., None, :]
    log_weight = log_weight.masked_fill(torch.ones(length, length, dtype=torch.bool).triu(1), -torch.inf)
    largest = log_weight.amax(-1, keepdim=True)
    scores = (q @ k.mT).to(fgate.dtype) / d**0.5 * (log_weight - largest).exp()
    norm = torch.maximum(scores.sum(-1, keepdim=True).abs(), (-largest).exp()) + 1e-6
    return (scores / norm).to(v.dtype) @ v


def assert_near(got, expected, forget_is_rounding=False):
    """Relative errors of 1e-5 forward and 1e-4 in every gradient."""
    assert (got[0].double() - expected[0]).norm() <= 1e-5 * expected[0].norm()
    # With large gates a lone step keeps of q . k the sign alone: gradients of 0 that are made of rounding.
    rounding = 1e-7 * max(g.norm() for g in expected[1])
    for name, mine, judge in zip(NAMES, got[1], expected[1]):
        allowed = rounding if name != 'fgate' or forget_is_rounding else 0
        assert (mine.double() - judge).norm() <= 1e-4 * judge.norm() + allowed, name


@pytest.mark.usefixtures('poisoned')
@pytest.mark.parametrize(
    'backend,gates,length',
    [
        *product(WHOLE, GATES, [1, 2, 63, 64, 65, 197]),
        *product(['triton'], GATES, [65]),
        *product(['triton'], ['usual'], [1, 63, 64]),
        *product(['triton'], ['usual', 'all kinds'], [197]),
    ],
)
def test_equals_reference(backend, gates, length):
    inputs = make(length, gates)
    out_grad = torch.randn(2, 2, length, 12)
    expected = run(mlstm_reference, double(inputs), out_grad)
    with ops.use(backend):
        got = run(ops.mlstm, inputs, out_grad)
    assert got[0].dtype == torch.float32
    # Of two steps with large gates one is all that counts, and little but rounding is left of either's gradients: the
    # recurrence itself, run in float32, misses the bound there for some seeds.
    assert_near(got, expected, forget_is_rounding=gates == 'all kinds' and length == 2)


@pytest.mark.parametrize('backend', FAST)
def test_one_step_that_forgets_all_costs_no_digits(backend):
    """Sums of gates from there on are about -3000, where neighbouring float32 numbers are 2e-4 apart."""
    inputs = make(40, batch=1)
    inputs[4][:, :, 3] = -3000
    out_grad = torch.randn(1, 2, 40, 12)
    with ops.use(backend):
        got = run(ops.mlstm, inputs, out_grad)
    assert_near(got, run(quadratic, double(inputs), out_grad))


@pytest.mark.parametrize('backend', WHOLE)
@pytest.mark.parametrize('gates', ['usual', 'all kinds'])
@pytest.mark.parametrize('length', [1000, 4096])
def test_equals_quadratic_form_over_long_sequences(backend, gates, length):
    inputs = make(length, gates, batch=1, heads=1, d=8)
    out_grad = torch.randn(1, 1, length, 8)
    with ops.use(backend):
        got = run(ops.mlstm, inputs, out_grad)
    assert_near(got, run(quadratic, double(inputs), out_grad))


@pytest.mark.parametrize('gates', GATES)
def test_reference_is_the_quadratic_form(gates):
    inputs = double(make(40, gates))
    out_grad = torch.randn(2, 2, 40, 12)
    recurrent, parallel = run(mlstm_reference, inputs, out_grad), run(quadratic, inputs, out_grad)
    torch.testing.assert_close(recurrent[0], parallel[0], rtol=1e-9, atol=1e-11)
    for a, b in zip(recurrent[1], parallel[1]):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize('chunk', [1, 3, 7, 16, 50])
def test_any_chunk_length_is_right(chunk):
    inputs = double(make(16))
    out_grad = torch.randn(2, 2, 16, 12)
    got = run(lambda *x: mlstm_chunkwise(*x, chunk=chunk), inputs, out_grad)
    expected = run(mlstm_reference, inputs, out_grad)
    for a, b in zip((got[0], *got[1]), (expected[0], *expected[1])):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)


def test_memories_pass_through_many_chunks():
    """70 chunks: more than come of one product, so that what one product leaves is carried to the next and back."""
    inputs = double(make(140, 'keeps', batch=1, d=4))
    out_grad = torch.randn(1, 2, 140, 4)
    got = run(lambda *x: mlstm_chunkwise(*x, chunk=2), inputs, out_grad)
    expected = run(mlstm_reference, inputs, out_grad)
    for a, b in zip((got[0], *got[1]), (expected[0], *expected[1])):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-10)


def test_gradcheck():
    inputs = [x.requires_grad_() for x in double(make(7, batch=1, heads=2, d=3))]
    assert torch.autograd.gradcheck(lambda *x: mlstm_chunkwise(*x, chunk=3), inputs)


def test_gradient_of_the_row_maximum_counts_where_the_normaliser_is_small():
    """exp(-m) and sum of weights both near 1e-6: there the added constant, and so m, decides h."""
    q, k, v, igate, fgate = double(make(12, batch=1, heads=1))
    inputs = (1e-7 * q, k, v, igate + 14, fgate)
    out_grad = torch.randn(1, 1, 12, 12)
    got = run(lambda *x: mlstm_chunkwise(*x, chunk=5), inputs, out_grad)
    expected = run(quadratic, inputs, out_grad)
    for a, b in zip((got[0], *got[1]), (expected[0], *expected[1])):
        torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-12)


def test_steps_see_no_later_step():
    q, k, v, igate, fgate = make(100)
    with torch.no_grad():
        whole = ops.mlstm(q, k, v, igate, fgate)
        part = ops.mlstm(*(x[:, :, :37] for x in (q, k, v)), igate[:, :, :37], fgate[:, :, :37])
    torch.testing.assert_close(whole[:, :, :37], part)


def test_strides_do_not_matter():
    q, k, v, igate, fgate = make(70)
    turned = [x.transpose(1, 2).contiguous().transpose(1, 2) for x in (q, k, v)]
    assert torch.equal(ops.mlstm(q, k, v, igate, fgate), ops.mlstm(*turned, igate, fgate))


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
@pytest.mark.parametrize('backend', [name for name in BACKENDS if name != 'triton'])
def test_low_precision_is_computed_in_float32(backend, dtype):
    inputs = make(70)
    half = [x.to(dtype) for x in inputs]
    with ops.use(backend):
        wide = ops.mlstm(*(x.float() for x in half))
        with torch.autocast('cpu', torch.bfloat16):
            got = ops.mlstm(*half)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, wide)
    low = [x.requires_grad_() for x in half]
    gradients = torch.autograd.grad(ops.mlstm(*low).sum(), low)
    assert all(g.dtype == dtype and g.isfinite().all() for g in gradients)


def test_memory_is_linear_in_the_length():
    """4096 steps, forward and backward: one matrix of all pairs alone would be 268 MB."""
    code = """
import resource, torch
from mmseq import ops
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
def step(length):
    q, k, v = torch.randn(3, 1, 4, length, 96, requires_grad=True).unbind(0)
    igate, fgate = torch.randn(2, 1, 4, length, requires_grad=True).unbind(0)
    ops.mlstm(q, k, v, igate, fgate).sum().backward()
step(64)
before = peak()
step(4096)
print(peak() - before)
"""
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 250


@pytest.mark.usefixtures('poisoned')
@pytest.mark.parametrize('d', [8, 16, 96])
def test_triton_takes_any_head_size(d):
    """96 is three tiles of 32, and 70 steps are two chunks."""
    inputs = make(70, batch=1, d=d)
    out_grad = torch.randn(1, 2, 70, d)
    with ops.use('triton'):
        got = run(ops.mlstm, inputs, out_grad)
    assert_near(got, run(quadratic, double(inputs), out_grad))


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
@pytest.mark.parametrize('gates', ['usual', 'keeps', 'writes much'])
def test_triton_is_as_exact_as_torch_in_low_precision(dtype, gates):
    """At most twice the error of the quadratic form with products in the same dtype and gates in float32."""
    inputs = make(100, gates, batch=1, heads=1, d=32)
    inputs = [*(x.to(dtype) for x in inputs[:3]), *inputs[3:]]
    out_grad = torch.randn(1, 1, 100, 32)
    judge, torchs = run(quadratic, double(inputs), out_grad), run(quadratic, inputs, out_grad)
    with ops.use('triton'):
        got = run(ops.mlstm, inputs, out_grad)
    assert got[0].dtype == torch.float32
    assert [x.dtype for x in got[1]] == [x.dtype for x in inputs]
    for name, mine, other, right in zip(('h', *NAMES), *((x[0], *x[1]) for x in (got, torchs, judge))):
        assert (mine - right).norm() <= 2 * (other - right).norm(), name


def test_triton_sums_the_gradient_of_the_row_maximum_across_chunks():
    """As in the test of the same for chunkwise; the maximum of the third chunk's steps stands in the first."""
    q, k, v, igate, fgate = make(40, 'keeps', batch=1, heads=1)
    inputs = (1e-7 * q, k, v, igate + 14, fgate - 28)
    out_grad = torch.randn(1, 1, 40, 12)
    got = run(lambda *x: mlstm_triton(*x, chunk=16), inputs, out_grad)
    assert_near(got, run(quadratic, double(inputs), out_grad))


def test_triton_strides_do_not_matter():
    inputs = make(20, batch=1)
    out_grad = torch.randn(1, 20, 2, 12).transpose(1, 2)
    turned = [x.mT.contiguous().mT for x in inputs[:3]] + [x.mT.contiguous().mT for x in inputs[3:]]
    as_layer = [x.transpose(1, 2).contiguous().transpose(1, 2) for x in inputs]
    expected = run(mlstm_triton, inputs, out_grad.contiguous())
    for other in (turned, as_layer):
        got = run(mlstm_triton, other, out_grad)
        assert all(torch.equal(a, b) for a, b in zip((got[0], *got[1]), (expected[0], *expected[1])))


def test_triton_operators_pass_torchs_own_check():
    inputs = [x.requires_grad_() for x in make(20, batch=1, heads=2, d=8)]
    torch.library.opcheck(torch.ops.mmseq.mlstm, (*inputs, 16))


def test_triton_follows_autocast():
    inputs = make(20, batch=1)
    with torch.autocast('cpu', torch.bfloat16):
        got = mlstm_triton(*inputs)
    rounded = [*(x.to(torch.bfloat16) for x in inputs[:3]), *inputs[3:]]
    assert got.dtype == torch.float32
    assert torch.equal(got, mlstm_triton(*rounded))


def test_triton_under_checkpointing_and_compiled():
    inputs = make(20, batch=1)
    out_grad = torch.randn(1, 2, 20, 12)
    expected = run(mlstm_triton, inputs, out_grad)
    compiled = torch.compile(run_forward, backend='aot_eager', fullgraph=True)
    for function in (
        lambda *x: checkpoint(mlstm_triton, *x, use_reentrant=False),
        lambda *x: compiled(*x, 64)[0],
    ):
        got = run(function, inputs, out_grad)
        assert all(torch.equal(a, b) for a, b in zip((got[0], *got[1]), (expected[0], *expected[1])))


def test_triton_says_what_it_cannot_take():
    with ops.use('triton'), pytest.raises(InputError, match='mlstm on backend triton has no float64'):
        ops.mlstm(*double(make(3)))


def test_triton_needs_a_gpu_where_it_is_not_interpreted():
    code = """
import torch
from mmseq import ops
for operator, inputs in ((ops.mlstm, (*torch.zeros(3, 1, 1, 2, 8), *torch.zeros(2, 1, 1, 2))),
                         (ops.shift2d, (torch.zeros(1, 2, 2, 8), 4))):
    try:
        operator(*inputs)
    except ValueError as error:
        print(error)
"""
    environment = {**os.environ, 'MMSEQ_BACKEND': 'triton', 'TRITON_INTERPRET': '0'}
    done = subprocess.run([sys.executable, '-c', code], env=environment, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert [line.split(':')[0] for line in lines] == [
        'mlstm on backend triton needs a CUDA GPU, not cpu',
        'shift2d on backend triton needs a CUDA GPU, not cpu',
    ]


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_sums_survive_what_low_precision_cannot_count(dtype):
    """Gates that neither open nor forget add up 600 equal steps; in bfloat16 a sum stops growing at 256."""
    ones = torch.ones(1, 1, 600, 4, dtype=dtype)
    values = torch.linspace(0, 1, 600, dtype=dtype)[None, None, :, None].expand(1, 1, 600, 4)
    gates = torch.zeros(1, 1, 600), torch.full((1, 1, 600), 50.0)
    with torch.autocast('cpu', dtype):
        found = ops.mlstm(ones, ones, values, *gates)
    mean = values.double().cumsum(2) / torch.arange(1, 601)[:, None]
    torch.testing.assert_close(found.double(), mean, rtol=1e-4, atol=1e-5)

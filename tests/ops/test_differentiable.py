"""Gradients that are differentiated again, and where the formula is taken."""

import pytest
import torch
from torch.autograd import forward_ad
from torch.func import grad, vmap

from mmseq import ops
from mmseq.ops.differentiable import by_formula, transformed


def draw(*shapes):
    return [torch.randn(shape, dtype=torch.float64).requires_grad_() for shape in shapes]


CASES = {
    'native': {
        'global_norm': (lambda *x: ops.global_norm(*x, 1e-5), ((2, 3, 5, 8), (8,), (8,))),
        'head_norm': (
            lambda h, w, b, s, c: ops.head_norm(h, w, b, 1e-5, s, c),
            ((2, 2, 5, 4), (8,), (8,), (8,), (2, 5, 8)),
        ),
        'global_norm_mlp': (
            lambda x, w, b, *mlp: ops.global_norm_mlp(x, w, b, 1e-5, *mlp, keep=torch.tensor([0.0, 2.0]).double()),
            ((2, 3, 5, 4), (4,), (4,), (8, 4), (8,), (4, 8), (4,)),
        ),
        'shift2d': (lambda x: ops.shift2d(x, 4), ((2, 3, 5, 8),)),
    },
    'chunkwise': {'mlstm': (ops.mlstm, ((1, 2, 70, 4), (1, 2, 70, 4), (1, 2, 70, 4), (1, 2, 70), (1, 2, 70)))},
}
CALLS = [(backend, name) for backend, cases in CASES.items() for name in cases]


@pytest.mark.parametrize('backend, name', CALLS)
def test_second_gradients_are_the_formulas(backend, name):
    call, shapes = CASES[backend][name]
    inputs = draw(*shapes)
    found = {}
    for kind in ('reference', backend):
        with ops.use(kind):
            torch.manual_seed(1)
            first = torch.autograd.grad(call(*inputs).sin().sum(), inputs, create_graph=True)
            found[kind] = [
                *first,
                *torch.autograd.grad(sum((g * torch.randn_like(g)).sin().sum() for g in first), inputs),
            ]
    for mine, right in zip(found[backend], found['reference'], strict=True):
        assert (mine - right).norm() <= 1e-9 * right.norm() + 1e-12


def test_inputs_that_depend_on_each_other():
    """Each gets its own gradient: what one passes on to another is the graph's business, and is not counted twice."""
    (a,) = draw((3,))
    b = a * 2
    found = by_formula(lambda x, y, z: x * y * z, (a, b, 3.0), torch.ones(3, dtype=torch.float64))
    torch.testing.assert_close(found[:2], (3 * b, 3 * a))
    assert found[2] is None
    torch.testing.assert_close(torch.autograd.grad(found[0].sum(), a), (torch.full_like(a, 6),))


def test_what_needs_no_gradient_gets_none():
    a, b = draw((3,), (3,))
    found = by_formula(torch.mul, (a, b.detach()), torch.ones(3, dtype=torch.float64))
    assert found[1] is None


def test_transforms_are_noticed():
    seen = []
    look = lambda x: seen.append(transformed()) or x.sum()  # noqa: E731
    grad(look)(torch.ones(2))
    vmap(look)(torch.ones(2, 2))
    with forward_ad.dual_level():
        look(torch.ones(2))
    assert seen == [True] * 3
    assert not transformed()

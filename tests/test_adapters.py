"""What others put on a backbone's layers: adapters, pruning, parametrizations, quantisation and hooks."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize, prune
from torch.nn.utils.parametrizations import weight_norm

import mmseq.backbones
from mmseq.layers import DropPath
from mmseq.registry import MODELS

# Ours: timm's have layers of their own.
FAMILIES = [name for name in mmseq.backbones.__all__ if name != 'Timm']
# Of the smaller side a large map to ShiftViT's mixer and one that it takes in parts; of both others than the example.
SIZES = [(1, 3, 32, 64), (1, 3, 256, 224)]


class Lora(nn.Module):
    """A frozen linear map and a trained one of rank 2 beside it, as adapters wrap it."""

    def __init__(self, base):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.a = nn.Parameter(torch.randn(2, base.in_features) * 0.1)
        self.b = nn.Parameter(torch.randn(base.out_features, 2) * 0.1)

    def forward(self, x):
        return self.base(x) + x @ self.a.T @ self.b.T


@pytest.fixture(params=FAMILIES)
def name(request):
    return request.param


def build(name, **options):
    return MODELS.build(dict(type=f'mmseq.{name}', arch='nano', **options))


def copies(name, count=2):
    models = [build(name) for _ in range(count)]
    for model in models[1:]:
        model.load_state_dict(models[0].state_dict())
    return models


def linears(model):
    return [(key, module) for key, module in model.named_modules() if type(module) is nn.Linear]


def weighed(levels):
    """Not a plain sum: that of a normalised map is constant."""
    return sum((level * torch.linspace(-1, 1, level[0].numel()).view(level[0].shape)).sum() for level in levels)


def same(levels, expected):
    for level, other in zip(levels, expected, strict=True):
        torch.testing.assert_close(level, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('low', [False, True])
def test_adapters_on_every_linear_map(name, size, low):
    """The answer is that of the merged weights, and every adapter learns."""
    adapted, merged = copies(name)
    for key, base in linears(adapted):
        lora = Lora(base)
        adapted.set_submodule(key, lora)
        merged.get_submodule(key).weight.data += (lora.b @ lora.a).detach()
    images = torch.randn(size)
    with torch.autocast('cpu', torch.bfloat16, enabled=low):
        levels = adapted(images)
        expected = merged(images)
    if low:
        assert all((a - b).float().norm() <= 0.05 * b.float().norm() for a, b in zip(levels, expected))
    else:
        same(levels, expected)
    weighed(level.float() for level in levels).backward()
    trained = [m for m in adapted.modules() if isinstance(m, Lora)]
    assert trained
    assert all(p.grad.abs().sum() > 0 for m in trained for p in (m.a, m.b))


def test_pruned_weights_are_trained(name):
    """Two steps: a mask that is not applied anew in each leaves a graph that is gone."""
    pruned, zeroed = copies(name)
    for key, module in pruned.named_modules():
        if isinstance(module, nn.Linear):
            prune.l1_unstructured(module, 'weight', 0.3)
        elif isinstance(module, nn.LSTM):
            for weight in module._flat_weights_names:
                if weight.startswith('weight'):
                    prune.l1_unstructured(module, weight, 0.3)
        elif isinstance(module, nn.Conv2d):
            prune.l1_unstructured(module, 'weight', 0.3)
        else:
            continue
        for weight, _ in list(module.named_buffers(recurse=False)):
            other = weight.removesuffix('_mask')
            getattr(zeroed.get_submodule(key), other).data.copy_(getattr(module, other))
    images = torch.randn(1, 3, 64, 64)
    optimizer = torch.optim.SGD(pruned.parameters(), lr=1e-4)
    same(pruned(images), zeroed(images))
    for _ in range(2):
        before = pruned(images)[-1].detach()
        optimizer.zero_grad()
        weighed(pruned(images)).backward()
        optimizer.step()
    assert all(p.grad is not None for p in pruned.parameters())
    assert not torch.equal(pruned(images)[-1], before)


class Doubled(nn.Module):
    def forward(self, weight):
        return 2 * weight


def test_parametrized_weights_are_seen(name):
    changed, doubled = copies(name)
    for key, module in list(changed.named_modules()):
        weight = {nn.Linear: 'weight', nn.LSTM: 'weight_hh_l0_reverse'}.get(type(module))
        if weight:
            parametrize.register_parametrization(module, weight, Doubled())
            doubled.get_submodule(key).get_parameter(weight).data *= 2
    # Of a class of ours, one that is the same weight written otherwise.
    weight_norm(changed.stem.proj if hasattr(changed.stem, 'proj') else changed.stem)
    images = torch.randn(SIZES[0])
    levels = changed(images)
    same(levels, doubled(images))
    weighed(levels).backward()
    assert all(p.grad is not None for p in changed.parameters())


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('size', SIZES)
def test_dynamically_quantised(name, size):
    """Every linear map and LSTM in eight bits is called, and what comes is near."""
    model = build(name).eval()
    quantised = torch.ao.quantization.quantize_dynamic(model)
    calls = []
    kinds = (torch.ao.nn.quantized.dynamic.Linear, torch.ao.nn.quantized.dynamic.LSTM)
    modules = [m for m in quantised.modules() if type(m) in kinds]
    assert len(modules) == len([m for m in model.modules() if type(m) in (nn.Linear, nn.LSTM)])
    for module in modules:
        module.register_forward_hook(lambda *_: calls.append(1))
    images = torch.randn(size)
    with torch.no_grad():
        for level, other in zip(quantised(images), model(images), strict=True):
            assert (level - other).norm() <= 0.2 * other.norm()
    assert len(calls) == len(modules)


def called(model):
    """The modules that a forward pass calls, and how often: drop path follows both of a recurrent block's mixers."""
    recurrent = type(model).__name__ in ('Sequencer2D', 'VSequencer')
    held = (nn.ModuleList, nn.ModuleDict, mmseq.backbones.base.Stage)
    return {
        key: 2 if recurrent and isinstance(module, DropPath) else 1
        for key, module in model.named_modules()
        if not isinstance(module, held)
    }


def tensors_of(value):
    return [t for t in (value if isinstance(value, tuple) else (value,)) if isinstance(t, torch.Tensor)]


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('training', [False, True])
def test_forward_hooks_fire_once_and_keep_what_they_saw(name, size, training):
    hooked, plain = copies(name)
    counts, kept = {}, []

    def note(key, module, inputs, output):
        counts[key] = counts.get(key, 0) + 1
        kept.extend((t, t.detach().clone(), key) for t in (*tensors_of(inputs), *tensors_of(output)))

    for key in called(hooked):
        hooked.get_submodule(key).register_forward_hook(partial(note, key))
    images = torch.randn(size)
    with torch.set_grad_enabled(training):
        levels = hooked(images)
        same(levels, plain(images))
    if training:
        weighed(levels).backward()
    assert counts == called(hooked)
    assert {key for tensor, copy, key in kept if not torch.equal(tensor, copy)} == set()


@pytest.mark.parametrize('alone', [0, 1, 2])
def test_one_hook_alone_keeps_what_it_saw(name, alone):
    """A hook on one kind of module changes the way of its neighbours only."""
    model, kept = build(name).eval(), []
    keys = [key for key in called(model) if key][alone::3]
    for key in keys:
        model.get_submodule(key).register_forward_hook(
            lambda module, inputs, output, key=key: kept.extend((t, t.clone(), key) for t in tensors_of(output))
        )
    with torch.no_grad():
        model(torch.randn(SIZES[0]))
    assert len({key for _, _, key in kept}) == len(keys)
    assert {key for tensor, copy, key in kept if not torch.equal(tensor, copy)} == set()


def test_hooks_for_all_modules_fire(name):
    """torch has hooks of all modules at once, too."""
    model, seen, kept = build(name), [], []

    def note(module, inputs, output):
        seen.append(module)
        kept.extend((t, t.clone()) for t in tensors_of(output))

    handle = nn.modules.module.register_module_forward_hook(note)
    with torch.no_grad():
        model(torch.randn(SIZES[0]))
    handle.remove()
    assert {id(m) for m in seen} == {id(model.get_submodule(key)) for key in called(model)}
    assert all(torch.equal(tensor, copy) for tensor, copy in kept)


@pytest.mark.parametrize('size', SIZES)
def test_full_backward_hooks_fire_once(name, size):
    hooked, plain = copies(name)
    counts = {}
    for key in called(hooked):

        def note(module, to_inputs, to_outputs, key=key):
            counts[key] = counts.get(key, 0) + 1

        hooked.get_submodule(key).register_full_backward_hook(note)
    images = torch.randn(size)
    for model in (hooked, plain):
        weighed(model(images.clone().requires_grad_())).backward()
    assert counts == called(hooked)
    for mine, other in zip(hooked.parameters(), plain.parameters(), strict=True):
        assert (mine.grad - other.grad).norm() <= 1e-4 * other.grad.norm() + 1e-5


def test_a_forward_of_another_is_called(name):
    """As offloading puts it there, which fetches the weights before the call."""
    model, calls = build(name).eval(), []
    keys = [key for key, m in model.named_modules() if type(m) in (nn.Linear, nn.LSTM)]
    for key in keys:
        module = model.get_submodule(key)
        module.forward = lambda *args, own=module.forward, key=key: calls.append(key) or own(*args)
    model(torch.randn(SIZES[0]))
    assert sorted(calls) == sorted(keys)


def test_the_log_says_why_modules_are_called(caplog, monkeypatch):
    monkeypatch.setattr('mmseq.ops.dispatch._said', set())
    model = build('Sequencer2D')
    model.stages[0].blocks[0].rnn_tokens.rnn_v.register_forward_hook(lambda *_: None)
    with caplog.at_level('INFO', 'mmseq'):
        model(torch.randn(SIZES[0]))
    assert 'bilstm2d runs on backend modules: one of them has hooks, or is of another class' in caplog.text

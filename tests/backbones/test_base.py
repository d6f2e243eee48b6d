"""The contract that every registered backbone keeps (base.py says it in words)."""

import inspect
import io
import math
import re
from contextlib import nullcontext

import pytest
import torch
from torch import _dynamo as dynamo
from torch import nn
from torch.autograd import forward_ad
from torch.func import functional_call, grad, jvp, vmap

import mmseq.backbones
from mmseq import ops
from mmseq.backbones.base import Backbone
from mmseq.layers import DropPath
from mmseq.registry import MODELS

FAMILIES = [name for name, cls in MODELS.module_dict.items() if isinstance(cls, type) and issubclass(cls, Backbone)]
# One of timm's with stages and windows, and one of a single stride with a position embedding.
OF_TIMM = {
    'timm_swin': dict(
        name='swin_tiny_patch4_window7_224',
        options=dict(embed_dim=16, depths=(1, 1, 2, 1), num_heads=(1, 2, 2, 4), window_size=4, img_size=64),
    ),
    'timm_vit': dict(name='test_vit', options=dict(depth=4, embed_dim=32, num_heads=2)),
}
OURS = [name for name in FAMILIES if name != 'Timm']
BACKBONES = [*OURS, *OF_TIMM]
SIZES = [(32, 32), (64, 96), (37, 53), (100, 33)]
VOCABULARY = [
    'arch',
    'in_channels',
    'out_indices',
    'out_strides',
    'out_norm',
    'drop_path_rate',
    'frozen_stages',
    'with_cp',
    'init_cfg',
]


def build(name, **options):
    if name in OURS:
        return MODELS.build(dict(type=f'mmseq.{name}', arch='nano', **options))
    pytest.importorskip('timm').layers.set_fused_attn(False)
    return MODELS.build(dict(type='mmseq.Timm', **OF_TIMM[name], **options))


def place(key, name):
    """Where a parameter lies: -1 the stem, k stage k, None the norms of the levels."""
    if key.startswith('norms.'):
        return None
    stage = {'timm_swin': r'net\.layers\.(\d)', 'timm_vit': r'net\.blocks\.(\d)'}.get(name, r'stages\.(\d)')
    match = re.match(stage, key)
    return int(match[1]) if match else -1


def drop_paths(model, name):
    """Name and rate of every drop path; timm leaves out those of rate 0."""
    if name in OURS:
        return [(key, m, m.p) for key, m in model.named_modules() if isinstance(m, DropPath)]
    found = [(key, m) for key, m in model.named_modules() if re.search(r'drop_path\d$', key)]
    return [(key, m, getattr(m, 'drop_prob', 0.0)) for key, m in found]


@pytest.fixture(params=BACKBONES)
def name(request):
    return request.param


def test_all_are_registered():
    assert sorted(FAMILIES) == sorted(mmseq.backbones.__all__)
    assert OURS


@pytest.mark.parametrize('family', FAMILIES)
def test_arguments_are_one_vocabulary(family):
    parameters = inspect.signature(MODELS.get(family).__init__).parameters
    words = ['name' if word == 'arch' and family == 'Timm' else word for word in VOCABULARY]
    assert [p for p in parameters if p in words] == words
    assert all(p.kind is not p.VAR_KEYWORD for p in parameters.values())


def test_unknown_arguments(name):
    with pytest.raises(TypeError, match='depth'):
        build(name, depth=50)


def test_can_be_traced_and_saved(name):
    model, images = build(name).eval(), torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        expected = model(images)
        traced = torch.jit.trace(model, images)
        file = io.BytesIO()
        torch.jit.save(traced, file)
        file.seek(0)
        levels = torch.jit.load(file)(images)
    for level, other in zip(levels, expected, strict=True):
        torch.testing.assert_close(level, other, rtol=1e-4, atol=1e-5)


def compiled(model, dynamic):
    """Compile a model's blocks to the code that they are traced to; returns the list of what was traced."""
    dynamo.reset()
    graphs = []
    model.compile(backend=lambda graph, _: graphs.append(graph) or graph.forward, dynamic=dynamic)
    return graphs


def outputs_and_gradients(model, images):
    levels = model(images)
    grads = torch.autograd.grad(
        sum((level * torch.arange(level.shape[1]).view(-1, 1, 1)).sum() for level in levels), model.parameters()
    )
    return [*levels, *grads]


def test_compiled_blocks_compute_the_same(name):
    plain, model = build(name, out_indices=(0,)), build(name, out_indices=(0,))
    model.load_state_dict(plain.state_dict())
    graphs = compiled(model, dynamic=False)
    # A compiled model reads and writes the same checkpoints.
    assert model.state_dict().keys() == plain.state_dict().keys()
    images = torch.randn(2, 3, 64, 96)
    results = [outputs_and_gradients(one, images) for one in (plain, model)]
    assert graphs
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5 * a.abs().max().item())


def test_more_shapes_are_compiled_than_torch_would_by_itself():
    limit = 'recompile_limit' if hasattr(dynamo.config, 'recompile_limit') else 'cache_size_limit'
    with dynamo.config.patch({limit: 1}):
        model = build('ShiftViT', out_indices=(0,))
        graphs = compiled(model, dynamic=False)
        for size in (32, 64):
            model(torch.randn(1, 3, size, size))
    assert len(graphs) == 2


@pytest.mark.parametrize('family', ['Sequencer2D', 'ShiftViT', 'VSequencer'])
def test_images_of_all_shapes_share_compiled_code(family):
    """Vision-LSTM's gradients are beyond torch 2.14 then."""
    model = build(family, out_indices=(0,))
    graphs, counts = compiled(model, dynamic=True), []
    for size in ((64, 96), (96, 128), (160, 80)):
        outputs_and_gradients(model, torch.randn(2, 3, *size))
        counts.append(len(graphs))
    # The second shape may show what the first had by chance.
    assert 0 < counts[1] == counts[2]


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('out_strides', [None, (4, 8, 16, 32)])
def test_shapes_are_as_declared(name, size, out_strides):
    model = build(name, out_strides=out_strides).eval()
    with torch.no_grad():
        levels = model(torch.randn(2, 3, *size))
    assert model.out_strides == (out_strides or model.native_strides)
    assert [tuple(level.shape) for level in levels] == [
        (2, channels, math.ceil(size[0] / stride), math.ceil(size[1] / stride))
        for channels, stride in zip(model.out_channels, model.out_strides)
    ]
    assert all(level.isfinite().all() for level in levels)


@pytest.mark.parametrize('out_strides', [None, (4, 8, 16, 32)])
def test_gradients_reach_every_parameter_and_the_image(name, out_strides):
    model = build(name, out_strides=out_strides)
    images = torch.randn(1, 3, 40, 48, requires_grad=True)
    sum((level * torch.randn_like(level)).sum() for level in model(images)).backward()
    without = [key for key, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []
    assert images.grad.abs().amax(dim=1).min() > 0


def test_pyramid_has_no_weights_of_its_own(name):
    native, pyramid = build(name), build(name, out_strides=(4, 8, 16, 32))
    shapes = [{key: tensor.shape for key, tensor in model.state_dict().items()} for model in (native, pyramid)]
    assert shapes[0] == shapes[1]


def test_stages_after_the_last_index_are_not_built(name):
    full, short = build(name), build(name, out_indices=(0, 1))
    assert len(short.dims) == 2
    assert set(short.state_dict()) < set(full.state_dict())
    assert len(short(torch.randn(1, 3, 32, 32))) == 2


@pytest.mark.parametrize('indices', [(), (1, 0), (0, 0), (0, 9), (-1,)])
def test_bad_indices(name, indices):
    with pytest.raises(ValueError, match='out_indices'):
        build(name, out_indices=indices)


def test_bad_strides_and_stages(name):
    with pytest.raises(ValueError, match='out_strides'):
        build(name, out_strides=(4, 8))
    with pytest.raises(ValueError, match='frozen_stages'):
        build(name, frozen_stages=9)


@pytest.mark.parametrize('name', OURS)
def test_unknown_archs(name):
    with pytest.raises(ValueError, match='unknown .* nano'):
        MODELS.build(dict(type=f'mmseq.{name}', arch='xxl'))
    with pytest.raises(ValueError, match=f"unknown {name} arch 'nanoo': did you mean 'nano'"):
        MODELS.build(dict(type=f'mmseq.{name}', arch='nanoo'))
    with pytest.raises(TypeError, match='no_such_field'):
        MODELS.build(dict(type=f'mmseq.{name}', arch=dict(no_such_field=1)))


@pytest.mark.parametrize('frozen', [0, 1, 4])
def test_freezing(name, frozen):
    model = build(name, frozen_stages=frozen, drop_path_rate=0.5)
    assert model.train() is model
    for key, parameter in model.named_parameters():
        where = place(key, name)
        if where is not None:
            assert parameter.requires_grad == (where >= frozen), key
    for module in model.modules():
        if isinstance(module, nn.RNNBase):
            assert module.training
    for key, module, rate in drop_paths(model, name):
        assert not rate or module.training == (place(key, name) >= frozen), key
    images = torch.randn(1, 3, 32, 32, requires_grad=True)
    last = model(images)[-1]
    # Not a plain sum: that of a normalised map is constant.
    (last * torch.randn_like(last)).sum().backward()
    assert images.grad.abs().sum() > 0


@pytest.mark.parametrize('frozen', [-1, 0, 1, 3, 4])
def test_freezing_takes_the_norms_of_frozen_levels_along(name, frozen):
    """The norm of a level that is all frozen stays as it is; it would drift away under the heads otherwise."""
    model = build(name, out_indices=(0, 2, 3), frozen_stages=frozen)
    trained = {key: {p.requires_grad for p in norm.parameters()} for key, norm in model.norms.items()}
    assert trained == {str(level): {level >= frozen} for level in (0, 2, 3)}
    before = {key: tensor.detach().clone() for key, tensor in model.norms.named_parameters()}
    trainable = [p for p in model.parameters() if p.requires_grad]
    if trainable:
        levels = model(torch.randn(1, 3, 64, 64))
        sum((level * torch.randn_like(level)).sum() for level in levels if level.requires_grad).backward()
        torch.optim.SGD(trainable, lr=1.0).step()
    moved = {
        key.split('.')[0] for key, tensor in model.norms.state_dict().items() if not torch.equal(tensor, before[key])
    }
    assert moved == {str(level) for level in (0, 2, 3) if level >= frozen}


def test_checkpointing_gives_equal_gradients(name):
    plain = build(name)
    thrifty = build(name, with_cp=True)
    thrifty.load_state_dict(plain.state_dict())
    images = torch.randn(2, 3, 37, 32)
    for model in (plain, thrifty):
        model.train()(images)[-1].square().sum().backward()
    gradients = {key: p.grad for key, p in thrifty.named_parameters() if p.grad is not None}
    # All but those of the norms of earlier levels, which the loss does not see.
    assert len(gradients) > len(list(plain.parameters())) / 2
    expected = {key: p.grad for key, p in plain.named_parameters() if p.grad is not None}
    torch.testing.assert_close(gradients, expected)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_autocast_stays_near_float32(name, dtype):
    model = build(name, out_strides=(4, 8, 16, 32))
    images = torch.randn(1, 3, 64, 64)
    exact = model(images)
    with torch.autocast('cpu', dtype):
        low = model(images)
    for a, b in zip(exact, low, strict=True):
        assert (a - b.float()).norm() <= 0.05 * a.norm()
    # Not a plain sum: that of a normalised map is constant.
    sum(level.float().square().mean() for level in low).backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad.dtype == torch.float32, key
        assert parameter.grad.isfinite().all(), key


def test_other_image_channels(name):
    assert len(build(name, in_channels=5)(torch.randn(1, 5, 32, 32))) == 4
    with pytest.raises(ValueError, match=r'takes \(B, 5, H, W\), got \(1, 3, 32, 32\)'):
        build(name, in_channels=5)(torch.randn(1, 3, 32, 32))


def test_layer_depth_grows_from_stem_to_norms(name):
    model = build(name)
    depths = {}
    for key in dict(model.named_parameters()):
        depth, layers = model.get_layer_depth(f'backbone.{key}', 'backbone.')
        where = place(key, name)
        depths.setdefault('norms' if where is None else 'stages' if where >= 0 else 'stem', set()).add(depth)
    assert depths['stem'] == {0}
    assert depths['stages'] == set(range(1, layers - 1))
    assert depths['norms'] == {layers - 1}
    assert layers == 2 + (len(drop_paths(model, name)) // 2 if name in OF_TIMM else sum(model.depths))
    with pytest.raises(ValueError, match='does not begin'):
        model.get_layer_depth('neck.weight', 'backbone.')


def test_drop_path_ramps_linearly(name):
    model = build(name, drop_path_rate=0.4)
    rates = [rate for _, _, rate in drop_paths(model, name)]
    # Both branches of timm's blocks have one each.
    rates = rates[::2] if name in OF_TIMM else rates
    assert rates == pytest.approx(torch.linspace(0, 0.4, len(rates)).tolist())


def test_own_checkpoint_round_trip(name, tmp_path):
    source = build(name)
    torch.save({'state_dict': {f'backbone.{k}': v for k, v in source.state_dict().items()}}, tmp_path / 'a.pth')
    target = build(name, init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'a.pth')))
    target.init_weights()
    torch.testing.assert_close(target.state_dict(), source.state_dict(), rtol=0, atol=0)


def test_says_once_when_maps_reach_beyond_the_image(name, caplog, monkeypatch):
    said = []
    monkeypatch.setattr('mmseq.backbones.base.print_log', lambda text, **_: said.append(text))
    model = build(name)
    model(torch.randn(1, 3, 37, 64))
    model(torch.randn(1, 3, 37, 64))
    assert len(said) == 1
    assert f'size_divisor={max(model.out_strides)}' in said[0]


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_a_backbone_of_low_precision(name, dtype):
    model = build(name, out_strides=(4, 8, 16, 32))
    images = torch.randn(1, 3, 64, 64)
    exact = model(images)
    low = model.to(dtype)(images.to(dtype))
    for a, b in zip(exact, low, strict=True):
        assert b.dtype == dtype
        assert (a - b.float()).norm() <= 0.1 * a.norm()
    sum(level.float().square().mean() for level in low).backward()
    assert all(p.grad.dtype == dtype and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize('low', [False, True])
def test_on_the_meta_device(name, low):
    """Shapes alone; autocast is that of the device that the model will be on."""
    model, images = build(name).to('meta'), torch.zeros(2, 3, 64, 96, device='meta')
    with torch.autocast('cpu', torch.bfloat16, enabled=low):
        levels = model(images)
    expected = build(name)(torch.zeros(2, 3, 64, 96))
    assert [level.shape for level in levels] == [level.shape for level in expected]
    sum(level.sum() for level in levels).backward()
    assert all(p.grad.is_meta for p in model.parameters())


@pytest.mark.parametrize('size', [(64, 64), (37, 256)])
@pytest.mark.parametrize('out_strides', [None, (4, 8, 16, 32)])
def test_no_images(name, size, out_strides):
    """What is left of a batch may be nothing: maps of no images, and gradients of zero."""
    model = build(name, out_strides=out_strides)
    expected = [(0, *level.shape[1:]) for level in model(torch.randn(1, 3, *size))]
    images = torch.randn(0, 3, *size)
    with torch.no_grad():
        assert [level.shape for level in model(images)] == expected
    levels = model(images)
    assert [level.shape for level in levels] == expected
    sum(level.sum() for level in levels).backward()
    assert all(p.grad is not None and not p.grad.any() for p in model.parameters())


def loss(levels):
    """Not a plain sum: that of a normalised map is constant."""
    return sum(
        (level * torch.linspace(-1, 1, level.shape[1]).to(level).view(-1, 1, 1)).sin().mean() for level in levels
    )


def judged(name, **options):
    """A small model in float64, its parameters, and two images."""
    model = build(name, **options).double()
    return model, dict(model.named_parameters()), torch.randn(2, 3, 32, 48, dtype=torch.float64)


def in_turn(model, parameters, images, backend=None):
    """The gradients of each image's loss, image by image."""
    with ops.use(backend) if backend else nullcontext():
        return [torch.autograd.grad(loss(model(image[None])), list(parameters.values())) for image in images]


@pytest.mark.parametrize('with_cp', [False, True])
def test_gradients_by_torch_func(name, with_cp):
    model, parameters, images = judged(name, with_cp=with_cp)

    def of_one(parameters, image):
        return loss(functional_call(model, parameters, (image[None],)))

    expected = in_turn(model, parameters, images, 'reference')
    mine = grad(of_one)(parameters, images[0])
    torch.testing.assert_close(list(mine.values()), list(expected[0]))
    each = vmap(grad(of_one), in_dims=(None, 0))(parameters, images)
    for number, one in enumerate(expected):
        torch.testing.assert_close([g[number] for g in each.values()], list(one))
    # What a transform leaves behind serves calls without one.
    torch.testing.assert_close(in_turn(model, parameters, images), expected)


def test_vmap_without_gradients(name):
    model, _, images = judged(name)
    with torch.no_grad():
        together = vmap(lambda image: model(image[None]))(images)
        for number, image in enumerate(images):
            torch.testing.assert_close([level[number] for level in together], list(model(image[None])))


@pytest.mark.parametrize('gradients', [False, True])
def test_directional_derivatives(name, gradients):
    """By torch.func and by dual numbers, beside the difference of two answers."""
    model, _, images = judged(name)
    point, direction = images[:1], images[1:]
    with torch.set_grad_enabled(gradients):
        _, slope = jvp(lambda x: loss(model(x)), (point,), (direction,))
        with forward_ad.dual_level():
            dual = forward_ad.unpack_dual(loss(model(forward_ad.make_dual(point, direction)))).tangent
        step = 1e-6
        expected = (loss(model(point + step * direction)) - loss(model(point - step * direction))) / (2 * step)
    torch.testing.assert_close(slope, expected, rtol=1e-5, atol=1e-8)
    torch.testing.assert_close(dual, slope)


@pytest.mark.parametrize('with_cp', [False, True])
@pytest.mark.parametrize('size', [(32, 48), (64, 96)])
def test_gradients_of_gradients(name, with_cp, size):
    """A penalty on the image's gradient, as in adversarial training, with the formulas and without."""
    model, parameters, _ = judged(name, with_cp=with_cp)
    images = torch.randn(1, 3, *size, dtype=torch.float64, requires_grad=True)

    def penalty():
        (slope,) = torch.autograd.grad(loss(model(images)), images, create_graph=True)
        return torch.autograd.grad(slope.square().sum(), [images, *parameters.values()], allow_unused=True)

    found = penalty()
    with ops.use('reference'):
        expected = penalty()
    for mine, right in zip(found, expected, strict=True):
        if right is not None:
            assert (mine - right).norm() <= 1e-8 * right.norm() + 1e-12


def test_several_gradients_at_once(name):
    model, parameters, images = judged(name)
    levels = model(images)
    answers = torch.stack([level.square().mean() for level in levels])
    wanted = [p for key, p in parameters.items() if place(key, name) == 0]
    units = torch.eye(len(answers), dtype=answers.dtype)
    together = torch.autograd.grad(answers, wanted, units, is_grads_batched=True, retain_graph=True)
    for number, unit in enumerate(units):
        one = torch.autograd.grad(answers, wanted, unit, retain_graph=True)
        torch.testing.assert_close([g[number] for g in together], list(one))


def test_the_log_says_why_a_transform_takes_the_formula(caplog, monkeypatch):
    monkeypatch.setattr('mmseq.ops.dispatch._said', set())
    model, _, images = judged('ShiftViT')
    with caplog.at_level('INFO', 'mmseq'):
        vmap(lambda image: model(image[None]))(images)
    assert 'shift2d runs on backend shift2d_reference: torch.func or forward-mode' in caplog.text

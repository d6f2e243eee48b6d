"""Our models in timm's registry keep timm's conventions, and take no name of timm's own."""

import pytest
import torch

timm = pytest.importorskip('timm')
before = set(timm.list_models())

import mmseq.timm as ours  # noqa: E402
from mmseq.checkpoints import FAMILIES  # noqa: E402
from mmseq.checkpoints.rules import restore  # noqa: E402
from mmseq.errors import InputError  # noqa: E402

NANO = [ours.model_name(family, 'nano') for family in ours.FAMILIES]


def test_all_are_registered_beside_timms():
    names = timm.list_models('mmseq_*')
    assert set(names) == set(ours.default_cfgs)
    assert {'mmseq_sequencer2d_s', 'mmseq_shiftvit_t', 'mmseq_vil_b', 'mmseq_vsequencer_pe'} <= set(names)
    assert timm.is_model('sequencer2d_s')
    assert not {name for name in before if name.startswith('mmseq_')} or set(names) <= before


def test_published_weights_are_known():
    cfg = timm.get_pretrained_cfg('mmseq_shiftvit_t')
    assert cfg.url.endswith('shiftvit_tiny_r2.pth')
    assert (cfg.crop_pct, cfg.interpolation, cfg.classifier) == (0.875, 'bicubic', 'head')
    assert timm.get_pretrained_cfg('mmseq_vil_t').crop_pct == 1.0
    assert not timm.get_pretrained_cfg('mmseq_vsequencer_s').url


@pytest.mark.parametrize('name', NANO)
def test_features(name):
    model = timm.create_model(name, features_only=True, out_indices=(1, 2), in_chans=4)
    assert model.feature_info.reduction() == [8, 16]
    levels = model(torch.randn(1, 4, 50, 70))
    assert [tuple(level.shape) for level in levels] == [
        (1, channels, -(-50 // stride), -(-70 // stride))
        for channels, stride in zip(model.feature_info.channels(), model.feature_info.reduction())
    ]
    # Nothing is left that would get no gradient.
    sum((level * torch.randn_like(level)).sum() for level in levels).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    own = timm.create_model(name, features_only=True, out_strides=(7, 14, 14, 14))
    assert own.feature_info.reduction() == [7, 14, 14, 14]


@pytest.mark.parametrize('name', NANO)
def test_conventions(name):
    model = timm.create_model(name, num_classes=6, drop_path_rate=0.2, drop_rate=0.1)
    assert model(torch.randn(2, 3, 64, 64)).shape == (2, 6)
    assert model.get_classifier().out_features == 6
    assert timm.create_model(name, num_classes=0)(torch.randn(1, 3, 40, 40)).shape == (1, model.head_hidden_size)
    groups = timm.models.group_parameters(model, model.group_matcher())
    assert all(key.startswith('backbone.stem') for key in groups[0])
    assert sum(len(keys) for keys in groups.values()) == len(list(model.parameters()))
    config = timm.data.resolve_model_data_config(model)
    assert config['input_size'] == (3, 224, 224)
    assert model.no_weight_decay() <= {key for key, _ in model.named_parameters()}
    with pytest.raises(TypeError, match='no_such_option'):
        timm.create_model(name, no_such_option=1)


def test_pretrained_weights_come_in_their_authors_names(tmp_path):
    model = timm.create_model('mmseq_vsequencer_nano', num_classes=4).eval()
    torch.nn.init.normal_(model.head.weight)
    own = {key.removeprefix('backbone.'): tensor for key, tensor in model.state_dict().items()}
    layout = FAMILIES['vsequencer'].layouts[0]
    torch.save({'model': restore(own, layout).tensors}, tmp_path / 'authors.pth')
    file = dict(file=str(tmp_path / 'authors.pth'), num_classes=4)
    options = dict(num_classes=4, pretrained=True, pretrained_cfg_overlay=file)
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        again = timm.create_model('mmseq_vsequencer_nano', **options).eval()
        torch.testing.assert_close(again(images), model(images))
        # timm's own way from colour to grey: the kernels' sum.
        grey = timm.create_model('mmseq_vsequencer_nano', in_chans=1, **options).eval()
        torch.testing.assert_close(
            grey(images[:, :1]), model(images[:, :1].expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-5
        )
    with pytest.raises(InputError, match="are no shiftvit: it looks like vsequencer's"):
        timm.create_model('mmseq_shiftvit_nano', **options)

"""The recipes of the heads are those that their cards name: read from upstream's configs, and from the optimizer."""

import pytest
from mmengine.hub import get_config
from mmengine.optim import build_optim_wrapper

from tests.configs.leaves import CONFIGS, built, load


def test_dino_is_upstreams():
    ours, theirs = load(CONFIGS / 'dino_seq2d_s_coco.py'), get_config('mmdet::dino/dino-4scale_r50_8xb2-12e_coco.py')
    for key in ('optim_wrapper', 'param_scheduler', 'train_pipeline'):
        assert ours[key] == theirs[key], key
    assert ours.train_cfg.max_epochs == 12
    assert ours.auto_scale_lr.base_batch_size == theirs.auto_scale_lr.base_batch_size
    assert ours.train_dataloader.batch_size == theirs.train_dataloader.batch_size
    assert ours.train_dataloader.dataset.pipeline == theirs.train_pipeline


@pytest.mark.parametrize(
    'leaf,upstream',
    [
        ('mask2former_seq2d_s_ade20k', 'mmseg::mask2former/mask2former_swin-t_8xb2-160k_ade20k-512x512.py'),
        ('mask2former_seq2d_s_coco', 'mmdet::mask2former/mask2former_swin-t-p4-w7-224_8xb2-lsj-50e_coco.py'),
        (
            'mask2former_seq2d_s_coco_panoptic',
            'mmdet::mask2former/mask2former_swin-t-p4-w7-224_8xb2-lsj-50e_coco-panoptic.py',
        ),
    ],
)
def test_mask2former_is_upstreams(leaf, upstream):
    ours, theirs = load(CONFIGS / f'{leaf}.py'), get_config(upstream)
    for key in ('train_cfg', 'auto_scale_lr', 'train_pipeline'):
        assert ours[key] == theirs[key], key
    for key in ('optimizer', 'clip_grad', 'type'):
        assert ours.optim_wrapper[key] == theirs.optim_wrapper[key], key
    assert ours.param_scheduler == theirs.param_scheduler
    assert ours.train_dataloader.batch_size == theirs.train_dataloader.batch_size
    assert ours.train_dataloader.dataset.pipeline == theirs.train_pipeline


@pytest.mark.parametrize('family', ['seq2d_s', 'shiftvit_t', 'vil_t'])
def test_mask2former_learns_slowly_in_the_backbone_and_decays_no_norm(family):
    leaf = CONFIGS / f'mask2former_{family}_coco.py'
    model = built(leaf)
    wrapper = build_optim_wrapper(model, load(leaf).optim_wrapper)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    seen = 0
    for group in wrapper.optimizer.param_groups:
        name = names[id(group['params'][0])]
        of_backbone = name.startswith('backbone.')
        assert group['lr'] == pytest.approx(1e-5 if of_backbone else 1e-4), name
        undecayed = any(part in name for part in ('norm', '.gn.', 'pos_embed', 'query_', 'level_embed'))
        if of_backbone or undecayed:
            assert (group['weight_decay'] == 0) == undecayed, name
        seen += 1
    assert seen == len(names)


def test_semantic_fpn_is_poolformers():
    ours = load(CONFIGS / 'semantic_fpn_seq2d_s_ade20k.py')
    assert ours.optim_wrapper.optimizer == dict(type='AdamW', lr=2e-4, weight_decay=1e-4)
    assert ours.train_cfg.max_iters == 40000
    assert ours.param_scheduler == [dict(type='PolyLR', eta_min=0.0, power=0.9, by_epoch=False, begin=0, end=40000)]
    assert ours.train_dataloader.batch_size * 8 == ours.auto_scale_lr.base_batch_size == 32


def test_segformer_is_upstreams():
    ours = load(CONFIGS / 'segformer_seq2d_s_ade20k.py')
    theirs = get_config('mmseg::segformer/segformer_mit-b0_8xb2-160k_ade20k-512x512.py')
    assert ours.optim_wrapper.optimizer == theirs.optim_wrapper.optimizer
    assert ours.param_scheduler == theirs.param_scheduler
    for key in ('head', 'norm'):
        assert ours.optim_wrapper.paramwise_cfg.custom_keys[key] == theirs.optim_wrapper.paramwise_cfg.custom_keys[key]


@pytest.mark.parametrize('size, width', [('t', 192), ('s', 384), ('b', 384)])
def test_vision_lstms_segmentation_is_its_authors(size, width):
    """The points of their configuration (src/vislstm/yamls/segmentation), one by one."""
    ours = load(CONFIGS / f'upernet_vil_{size}_ade20k_authors.py')
    optimizer = ours.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.lr, optimizer.weight_decay) == ('AdamW', 5e-4, 0.05)
    assert ours.optim_wrapper.paramwise_cfg.decay_rate == 0.65
    assert ours.train_dataloader.batch_size == 16
    for head in (ours.model.decode_head, ours.model.auxiliary_head):
        assert (head.channels, head.dropout_ratio, head.loss_decode.avg_non_ignore) == (width, 0.0, True)
    assert (ours.model.backbone.out_norm, ours.model.backbone.out_strides) == (False, None)
    assert ours.model.neck.type == 'mmseq.SimplePyramid'
    assert (ours.model.test_cfg.mode, tuple(ours.model.data_preprocessor.size)) == ('whole', (512, 512))
    for loader in (ours.val_dataloader, ours.test_dataloader):
        (resize,) = [step for step in loader.dataset.pipeline if step.type == 'Resize']
        assert (tuple(resize.scale), resize.keep_ratio) == ((512, 512), False)
    scales, flips, *_ = ours.tta_pipeline[1].transforms
    assert [step.scale_factor for step in scales] == [0.75, 1.0, 1.25, 1.5, 1.75]
    assert [step.prob for step in flips] == [0.0, 1.0]
    (jitter,) = [step for step in ours.train_dataloader.dataset.pipeline if step.type == 'mmseq.ColorJitter']
    assert (jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue) == (0.5, 0.5, 0.5, 0.25)
    assert ours.model.backbone.get('drop_path_rate', 0.0) == {'t': 0.0, 's': 0.05, 'b': 0.1}[size]

"""One value marks the pixels to ignore, or the run is refused."""

from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from mmseq.config import load_config
from mmseq.engine.ignored_pixels import check_ignored_pixels, check_zero_label, head_ignore_index
from mmseq.errors import InputError

ROOT = Path(__file__).parents[2]
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomCrop', crop_size=(8, 8)),
    dict(type='PackSegInputs'),
]


def config(value: int, **changed: Any) -> Config:
    """A segmentor whose pixels to ignore are this value everywhere."""
    data = dict(dataset=dict(type='BaseSegDataset', pipeline=PIPELINE))
    head = dict(type='FCNHead', num_classes=4, ignore_index=value, loss_decode=dict(type='CrossEntropyLoss'))
    cfg = Config(
        dict(
            default_scope='mmseg',
            model=dict(
                type='EncoderDecoder',
                data_preprocessor=dict(type='SegDataPreProcessor', seg_pad_val=value),
                decode_head=head,
                auxiliary_head=[dict(head)],
            ),
            train_dataloader=data,
            val_dataloader=data,
            val_evaluator=dict(type='IoUMetric', ignore_index=value),
            test_dataloader=data,
            test_evaluator=[dict(type='IoUMetric', ignore_index=value)],
        )
    )
    cfg.merge_from_dict(changed)
    return cfg


@pytest.mark.parametrize('value', [255, 254, 0])
def test_one_value_is_fine(value: int) -> None:
    check_ignored_pixels(config(value), LOADERS)
    assert head_ignore_index(config(value)) == value
    unsaid = config(255)
    for node in (unsaid.model.decode_head, unsaid.val_evaluator, unsaid.model.data_preprocessor):
        node.pop('ignore_index', None)
        node.pop('seg_pad_val', None)
    check_ignored_pixels(unsaid, LOADERS)


@pytest.mark.parametrize(
    'changed, named',
    [
        ({'val_evaluator.ignore_index': 255}, 'val_evaluator.ignore_index=255'),
        ({'test_evaluator.0.ignore_index': 3}, 'test_evaluator.0.ignore_index=3'),
        ({'train_dataloader.dataset.ignore_index': 255}, 'train_dataloader.dataset.ignore_index=255'),
        ({'model.auxiliary_head.0.ignore_index': 255}, 'model.auxiliary_head.0.ignore_index=255'),
        ({'model.data_preprocessor.seg_pad_val': 255}, 'model.data_preprocessor.seg_pad_val=255'),
        ({'model.decode_head.loss_decode': dict(type='DiceLoss')}, 'model.decode_head.loss_decode.ignore_index=255'),
        ({'train_dataloader.dataset.reduce_zero_label': True}, 'reduce_zero_label, which writes=255'),
        (
            {'train_dataloader.dataset.pipeline.2': dict(type='RandomRotate', prob=1.0, degree=9)},
            'pipeline.2.seg_pad_val=255',
        ),
        (
            {'train_dataloader.dataset.pipeline.2': dict(type='RandomCrop', crop_size=(8, 8), cat_max_ratio=0.75)},
            'pipeline.2.ignore_index=255',
        ),
        ({'train_dataloader.dataset.pipeline.2': dict(type='Pad', size=(8, 8))}, 'pipeline.2.pad_val.seg=255'),
        (
            {
                'train_dataloader.dataset.type': 'CityscapesDataset',
                'train_dataloader.dataset.metainfo': dict(classes=('road', 'car')),
            },
            'metainfo.classes, a subset, which writes=255',
        ),
    ],
)
def test_another_value_is_named(changed: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match='set all to one value') as error:
        check_ignored_pixels(config(254, **changed), LOADERS)
    assert named in str(error.value)
    assert 'model.decode_head.ignore_index=254' in str(error.value)


def test_what_the_run_does_not_read_does_not_count() -> None:
    cfg = config(254, **{'val_evaluator.ignore_index': 255, 'model.data_preprocessor.seg_pad_val': 255})
    check_ignored_pixels(cfg, ('test_dataloader',))


@pytest.mark.parametrize('loss', [dict(use_sigmoid=False), dict(use_sigmoid=True)])
def test_one_class_alone(loss: dict[str, bool]) -> None:
    cfg = config(255, **{'model.decode_head.num_classes': 1, 'model.decode_head.loss_decode': loss})
    with pytest.raises(InputError, match='num_classes=2, and add out_channels=1'):
        check_ignored_pixels(cfg, LOADERS)
    binary = {'model.decode_head.num_classes': 2, 'model.decode_head.out_channels': 1}
    check_ignored_pixels(config(255, **binary, **{'model.decode_head.loss_decode': loss}), LOADERS)


def test_classes_that_the_data_set_lacks() -> None:
    changed = {
        'train_dataloader.dataset.type': 'CityscapesDataset',
        'train_dataloader.dataset.metainfo': dict(classes=('road', 'cat')),
    }
    with pytest.raises(InputError, match="'cat', which is no class of CityscapesDataset"):
        check_ignored_pixels(config(255, **changed), LOADERS)


@pytest.mark.parametrize('name', ['mask_rcnn_seq2d_nano_shapes.py', 'upernet_seq2d_nano_shapes.py'])
def test_shipped_configs_agree(name: str) -> None:
    check_ignored_pixels(load_config(str(ROOT / 'configs' / name), {}, None), LOADERS)


@pytest.mark.parametrize('reduce', [True, False])
def test_a_zero_is_a_class_for_the_data_set_and_the_pipeline_or_for_neither(reduce: bool) -> None:
    cfg = config(255)
    check_zero_label(cfg, LOADERS)
    cfg.val_dataloader.dataset.pipeline[1].reduce_zero_label = reduce
    cfg.val_dataloader.dataset.reduce_zero_label = reduce
    check_zero_label(cfg, LOADERS)
    cfg.val_dataloader.dataset.reduce_zero_label = not reduce
    said = (
        f'config: val_dataloader.dataset.reduce_zero_label={not reduce}, but '
        f'val_dataloader.dataset.pipeline.1.reduce_zero_label={reduce}; set both'
    )
    with pytest.raises(InputError, match=said):
        check_zero_label(cfg, LOADERS)
    # A data set of upstream has a rule of its own.
    cfg.val_dataloader.dataset = dict(type='ADE20KDataset', pipeline=[dict(PIPELINE[1], reduce_zero_label=False)])
    with pytest.raises(InputError, match='dataset.reduce_zero_label=True, but'):
        check_zero_label(cfg, LOADERS)

"""Options are taken where something reads them, and refused with what would be read where nothing does."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from mmengine.config import Config

from mmseq.config import read_config
from mmseq.errors import InputError
from mmseq.options import check_option

SEG, DET = 'upernet_seq2d_nano_shapes', 'mask_rcnn_seq2d_nano_shapes'


@pytest.fixture
def check(configs: Any) -> Callable[[str, str], Config]:
    """Checks an option of a config, which is its own."""

    def checked(name: str, key: str, value: Any = 3) -> Config:
        cfg = deepcopy(configs[name])
        check_option(cfg, key, value, f'{name}.py')
        cfg.merge_from_dict({key: value})
        return cfg

    return checked


@pytest.mark.parametrize(
    'key',
    [
        'train_dataloader.pin_memory',
        'val_dataloader.prefetch_factor',
        'train_dataloader.drop_last',
        'train_dataloader.num_batch_per_epoch',
        'train_dataloader.collate_fn.type',
        'train_dataloader.dataset.indices',
        'train_dataloader.dataset.metainfo.anything',
        'randomness.deterministic',
        'env_cfg.dist_cfg.timeout',
        'env_cfg.mp_cfg.opencv_num_threads',
        'env_cfg.resource_limit',
        'optim_wrapper.paramwise_cfg.bias_lr_mult',
        'optim_wrapper.paramwise_cfg.custom_keys.backbone.lr_mult',
        'optim_wrapper.clip_grad.max_norm',
        'optim_wrapper.clip_grad.norm_type',
        'optim_wrapper.clip_grad.clip_value',
        'optim_wrapper.accumulative_counts',
        'train_cfg.val_begin',
        'val_cfg.fp16',
        'log_processor.window_size',
        'default_hooks.timer.type',
        'model_wrapper_cfg.find_unused_parameters',
        'model.backbone.with_cp',
        'model.backbone.init_cfg.checkpoint',
        'resume',
    ],
)
def test_what_is_read(check: Callable, key: str) -> None:
    node: Any = check(SEG, key)
    for part in key.split('.'):
        node = node[part]
    assert node == 3


def test_what_classes_read_of_a_dict_without_a_type(check: Callable, configs: Any) -> None:
    check(SEG, 'model.test_cfg.mode', 'slide')
    check(SEG, 'model.test_cfg.stride')
    check(DET, 'model.test_cfg.rcnn.min_bbox_size')
    # Another constructor reads other keys.
    cfg = deepcopy(configs[DET])
    with pytest.raises(InputError, match="has no 'decay_rate'"):
        check_option(cfg, 'optim_wrapper.paramwise_cfg.decay_rate', 0.9, 'a.py')
    cfg.optim_wrapper.constructor = 'mmdet.LearningRateDecayOptimizerConstructor'
    check_option(cfg, 'optim_wrapper.paramwise_cfg.decay_rate', 0.9, 'a.py')


@pytest.mark.parametrize(
    'config, key, said',
    [
        (DET, 'epochs', 'nothing reads epochs, .* set train_cfg.max_epochs'),
        (DET, 'data_root', r'set train_dataloader\.dataset\.data_root, .* and 1 more'),
        (SEG, 'train_pipeline.2.scale', r'set train_dataloader\.dataset\.pipeline\.2\.scale$'),
        (SEG, 'dataset.img_suffix', r'set train_dataloader\.dataset\.img_suffix, val_'),
        (SEG, 'crop_size', 'nothing reads crop_size'),
        (SEG, 'data_preprocessor.size', 'nothing reads data_preprocessor'),
        (SEG, 'custom_imports.imports', 'was made when the file was read'),
        (SEG, 'epochs', "the config has no 'epochs'"),
        (SEG, 'train_dataloader.bacth_size', 'nearest: batch_size'),
        (SEG, 'env_cfg.dist_cfg.timeoutt', 'nearest: timeout'),
        (SEG, 'optim_wrapper.clip_grad.maxnorm', 'nearest: max_norm'),
        (SEG, 'optim_wrapper.paramwise_cfg.bias_lr_mul', "has no 'bias_lr_mul'"),
        (SEG, 'randomness.deterministc', 'nearest: deterministic'),
        (SEG, 'model.test_cfg.moda', 'nearest: mode'),
        (SEG, 'model.backbon.arch', "model has no 'backbon'; nearest: backbone"),
    ],
)
def test_what_nothing_reads(check: Callable, config: str, key: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as error:
        check(config, key)
    assert f'config {config}.py: option {key}' in str(error.value)


def test_the_advice_is_taken(check: Callable) -> None:
    """The keys that a message names are ones that are taken."""
    assert check(DET, 'train_cfg.max_epochs').train_cfg.max_epochs == 3
    assert check(SEG, 'train_dataloader.dataset.pipeline.2.scale').train_dataloader.dataset.pipeline[2].scale == 3


def test_a_part_of_a_config_is_made_of_variables() -> None:
    cfg = read_config('configs/_base_/schedules/shapes_seg_1200.py', {'max_iters': 7})
    assert cfg.max_iters == 7

"""What follows from the backbone, the images and their number."""

import pytest

from mmseq.classify.settings import (
    Pretraining,
    backbone_config,
    usual_batch,
    usual_epochs,
    usual_side,
    waited_for,
)
from mmseq.compat import shipped_configs
from mmseq.config import read_model_config
from mmseq.datasets.classes.sources import read_classes
from mmseq.errors import InputError
from tests.datasets.classes.folders import class_folders


def asked(root, kind=Pretraining, backbone='sequencer2d_nano', epochs=4, **options):
    """What is asked of a small pretraining."""
    options = dict(image_size=32, batch=8, tell=lambda text: None) | options
    return kind(backbone, str(root), epochs, **options)


def changed(change, **options):
    return read_model_config(change.config(None), options, change)


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return class_folders(tmp_path_factory.mktemp('settings') / 'data', train=16)


COUNTS = [(40, 2, 300), (1000, 32, 300), (100_000, 256, 30), (30_000, 256, 100)]


@pytest.mark.parametrize('images, batch, epochs', COUNTS)
def test_batch_and_length_by_the_number_of_images(images, batch, epochs):
    assert usual_batch(images, 256, 1) == batch
    assert usual_epochs(images) == epochs


def test_several_processes_share_the_batch():
    assert [usual_batch(100_000, 256, processes) for processes in (1, 2, 3, 8)] == [256, 128, 64, 32]


def test_the_side_is_the_images_own(root):
    assert usual_side(read_classes(str(root))) == 32


def test_a_config_is_complete(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    change = asked(root, batch=None, epochs=None, image_size=None)
    cfg = changed(change)
    assert cfg.model.num_classes == 3
    assert cfg.train_dataloader.batch_size == 2
    assert cfg.train_dataloader.dataset.to_dict() == dict(
        type='mmseq.PackedImages',
        data_root='work_dirs/packed/data_32px',
        image_size=32,
        part='train',
        scale=(0.25, 1.0),
        flip=0.5,
    )
    assert cfg.val_dataloader.dataset.part == 'val'
    assert cfg.train_cfg.max_epochs == 300
    assert cfg.train_cfg.val_interval == cfg.default_hooks.checkpoint.interval == 6
    assert cfg.work_dir == 'work_dirs/pretrain_sequencer2d_nano_data'
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(2e-3 * (2 / 256) ** 0.5, rel=1e-2)
    assert cfg.param_scheduler[-1].end == 300


def test_options_go_before_what_is_derived(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = {'train_dataloader.batch_size': 4, 'train_cfg.max_epochs': 10, 'train_dataloader.dataset.jitter': 0.4}
    cfg = changed(asked(root), **options)
    assert cfg.param_scheduler[-1].end == 10
    assert cfg.auto_scale_lr.base_batch_size == 4
    assert cfg.train_dataloader.dataset.jitter == 0.4


def test_a_config_in_the_place_of_a_backbone_keeps_its_recipe(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'mine.py').write_text(
        f'_base_ = {str(shipped_configs.locate("mmseq::_base_/pretrain"))!r}\n'
        "model = dict(backbone=dict(_delete_=True, type='mmseq.ShiftViT', arch='nano', out_indices=(3,)))\n"
        'train_dataloader = dict(batch_size=8, dataset=dict(image_size=40, scale=(0.5, 1.0)))\n'
        'optim_wrapper = dict(optimizer=dict(lr=3e-4))\n'
        'train_cfg = dict(max_epochs=7)\n'
    )
    cfg = changed(asked(root, backbone='mine.py', epochs=None, batch=None, image_size=None))
    assert cfg.model.backbone.type == 'mmseq.ShiftViT'
    assert (cfg.model.num_classes, cfg.train_cfg.max_epochs, cfg.param_scheduler[-1].end) == (3, 7, 7)
    # A twentieth of an epoch at most, and the rate of 256 images by the root of the ratio.
    assert (cfg.train_dataloader.batch_size, cfg.optim_wrapper.optimizer.lr) == (2, 2.65e-5)
    assert (cfg.train_dataloader.dataset.image_size, cfg.train_dataloader.dataset.scale) == (40, (0.5, 1.0))
    assert cfg.val_dataloader.dataset.image_size == 40
    assert cfg.work_dir == 'work_dirs/pretrain_mine_data'


def test_large_images_are_decoded_as_they_are_read(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cfg = changed(asked(root, image_size=128, batch=None))
    assert cfg.train_dataloader.dataset.type == 'mmseq.ClassImages'
    steps = cfg.train_dataloader.dataset.pipeline, cfg.val_dataloader.dataset.pipeline
    assert [step[0].to_dict() for step in steps] == [
        dict(type='mmseq.TimmAugment', training=training, image_size=128) for training in (True, False)
    ]
    assert not (tmp_path / 'work_dirs').exists()
    assert changed(asked(root, image_size=128, pack='here')).train_dataloader.dataset.data_root == 'here'
    # A packed folder is data by itself.
    assert changed(asked('here')).train_dataloader.dataset.data_root == 'here'


def test_names_of_backbones():
    assert backbone_config('vision_lstm_nano') == dict(type='mmseq.VisionLSTM', arch='nano', out_indices=(3,))
    pytest.importorskip('timm')
    assert backbone_config('timm://convnext_atto')['out_indices'] == (3,)


def test_a_process_does_not_wait_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr('mmseq.classify.settings.PATIENCE', 0)
    with pytest.raises(InputError, match='not there after 0 s'):
        waited_for(str(tmp_path))

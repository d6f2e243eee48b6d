"""What follows from the number of images, rule by rule."""

from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from mmseq.config import read_config
from mmseq.engine.own import recipe
from mmseq.engine.own.changes import OwnData
from mmseq.engine.own.recipe import derive, set_epochs
from mmseq.errors import InputError
from mmseq.registry import HOOKS

DETECTOR, SEGMENTOR = 'mmseq::faster_rcnn_seq2d_s_coco', 'mmseq::upernet_seq2d_s_ade20k'


@pytest.fixture
def derived(cards: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function from a config, a card and a number of images to what is derived, with its lines."""

    def make(config: str, images: int, processes: int = 1, **asked: Any) -> tuple[Config, list[str]]:
        card = cards['semantic' if config == SEGMENTOR else 'boxes']
        monkeypatch.setattr(recipe, 'derive', None)
        own = OwnData(str(card))
        monkeypatch.setattr('mmseq.engine.own.changes.derive', lambda *_: [])
        cfg = read_config(config, {}, own)
        monkeypatch.setattr(recipe, 'count_images', lambda _: images)
        return cfg, derive(cfg, {}, processes, **asked)

    return make


@pytest.mark.parametrize(
    ('images', 'epochs', 'interval', 'warm_up'),
    [(4, 100, 10, 10), (200, 100, 10, 500), (333, 60, 6, 501), (1000, 20, 2, 500), (50_000, 12, 1, 1000)],
)
def test_few_images_are_seen_more_often(derived: Any, images: int, epochs: int, interval: int, warm_up: int) -> None:
    cfg, lines = derived(DETECTOR, images)
    assert (cfg.train_cfg.max_epochs, cfg.train_cfg.val_interval) == (epochs, interval)
    assert cfg.param_scheduler[0].end == warm_up
    assert cfg.param_scheduler[1].end == epochs
    assert cfg.default_hooks.checkpoint.interval == interval
    assert f'{epochs} epochs of' in lines[1]


def test_a_run_by_iterations_is_as_long_as_one_by_epochs(derived: Any) -> None:
    cfg, lines = derived(SEGMENTOR, 200)
    assert cfg.train_cfg.max_iters == cfg.param_scheduler[-1].end == 10_000
    assert cfg.train_cfg.val_interval == cfg.default_hooks.checkpoint.interval == 1000
    assert not cfg.default_hooks.checkpoint.by_epoch
    assert lines[1].startswith('10000 iterations, 100 an epoch, 500 iterations of warm-up, evaluated every 1000')


def test_the_last_evaluation_is_of_the_last_weights(derived: Any) -> None:
    cfg, _ = derived(DETECTOR, 200, epochs=23)
    assert (cfg.train_cfg.val_interval, cfg.train_cfg.dynamic_intervals) == (2, [(23, 23)])
    assert 'dynamic_intervals' not in derived(DETECTOR, 200, epochs=20)[0].train_cfg


def test_the_rate_follows_the_images_of_an_update(derived: Any) -> None:
    assert derived(DETECTOR, 200)[0].optim_wrapper.optimizer.lr == pytest.approx(1e-4 * (2 / 16) ** 0.5, rel=5e-3)
    cfg, lines = derived(DETECTOR, 200, processes=8)
    assert (cfg.optim_wrapper.optimizer.lr, cfg.auto_scale_lr.base_batch_size) == (1e-4, 16)
    assert not any('rate' in line and 'images an update' in line for line in lines)
    cfg, lines = derived('mmdet::retinanet/retinanet_r50_fpn_1x_coco.py', 200)
    assert (cfg.optim_wrapper.optimizer.lr, cfg.auto_scale_lr.base_batch_size) == (0.00125, 2)
    assert 'rate 0.00125 for 2 images an update; the recipe has 0.01 for 16, in proportion' in lines


def test_a_batch_holds_no_image_twice(derived: Any) -> None:
    assert derived('mmseq::faster_rcnn_seq2d_nano_shapes', 6)[0].train_dataloader.batch_size == 6
    assert derived('mmseq::faster_rcnn_seq2d_nano_shapes', 6, processes=2)[0].train_dataloader.batch_size == 3


def test_few_images_move_pretrained_layers_less(derived: Any) -> None:
    cfg, lines = derived(DETECTOR, 999)
    assert cfg.model.backbone.frozen_stages == 1
    assert cfg.optim_wrapper.constructor == 'mmseq.LayerDecayOptimWrapperConstructor'
    assert (cfg.optim_wrapper.paramwise_cfg.decay_rate, 'custom_keys' in cfg.optim_wrapper.paramwise_cfg) == (0.8, True)
    assert any('1 stage is frozen' in line for line in lines)
    # A rate of its own for the backbone is the recipe's.
    assert 'constructor' not in derived('mmseq::dino_seq2d_s_coco', 999)[0].optim_wrapper
    for cfg, lines in (derived(DETECTOR, 1000), derived('mmseq::faster_rcnn_seq2d_nano_shapes', 10)):
        assert 'frozen_stages' not in cfg.model.backbone
        assert not any('frozen' in line for line in lines)


def test_the_best_is_kept_and_the_run_ends_when_it_gets_no_better(derived: Any) -> None:
    cfg, _ = derived(SEGMENTOR, 100)
    assert (cfg.default_hooks.checkpoint.save_best, cfg.custom_hooks[-1].monitor) == ('mIoU', 'mIoU')
    hook = HOOKS.build(dict(cfg.custom_hooks[-1]))
    figures = [0.0, 0.0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.049, 0.048, 0.047, 0.046, 0.045]
    assert [hook._check_stop_condition(figure)[0] for figure in figures] == [False] * 11 + [True]
    # Of a config that a run on a card left, too.
    again = derive(cfg, {}, 1)
    assert [one.type for one in cfg.custom_hooks].count('mmseq.EarlyStoppingHook') == 1
    assert again[-1].startswith('the best checkpoint by mIoU is kept')


def test_hooks_that_change_the_pipeline_do_so_at_the_same_place(derived: Any) -> None:
    cfg, _ = derived('mmdet::yolox/yolox_tiny_8xb8-300e_coco.py', 200)
    assert [hook.num_last_epochs for hook in cfg.custom_hooks if 'num_last_epochs' in hook] == [5]


@pytest.fixture
def shapes(cards: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / 'shapes').symlink_to(cards['boxes'].parent)
    monkeypatch.setenv('MMSEQ_DATA', str(tmp_path))


@pytest.mark.usefixtures('shapes')
def test_epochs_are_for_every_config() -> None:
    cfg = read_config('mmseq::upernet_seq2d_nano_shapes', {}, OwnData(epochs=30))
    # Six images in batches of eight.
    assert (cfg.train_cfg.max_iters, cfg.train_cfg.val_interval, cfg.param_scheduler[-1].end) == (30, 3, 30)
    cfg = read_config('mmseq::mask_rcnn_seq2d_nano_shapes', {'train_dataloader.batch_size': 2}, OwnData(epochs=40))
    assert (cfg.train_cfg.max_epochs, cfg.param_scheduler[1].end, cfg.param_scheduler[0].end) == (40, 40, 6)


@pytest.mark.usefixtures('shapes')
def test_what_contradicts_itself_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match='--epochs 3 and train_cfg.max_epochs=9: both set the length'):
        read_config('mmseq::mask_rcnn_seq2d_nano_shapes', {'train_cfg.max_epochs': 9}, OwnData(epochs=3))
    with pytest.raises(InputError, match='--epochs: the config trains nothing'):
        set_epochs(Config(dict(model={})), {}, 1, 3)
    monkeypatch.setenv('MMSEQ_DATA', '/nowhere')
    with pytest.raises(InputError, match='data root /nowhere/shapes/coco/: no such folder'):
        read_config('mmseq::mask_rcnn_seq2d_nano_shapes', {}, OwnData(epochs=3))

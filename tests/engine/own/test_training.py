"""Whole runs on a card: what is said, what is left behind, and when they end."""

import json
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config
from mmengine.runner import Runner

from mmseq.cli import (
    benchmark,
    check_data,
    demo_app,
    erf,
    export_onnx,
    flops,
    import_data,
    infer,
    print_config,
    seeds,
    test,
    train,
)
from mmseq.config import read_config
from mmseq.engine import launch
from mmseq.errors import InputError
from tests.datasets.own import exports

DETECTOR = 'mmseq::faster_rcnn_seq2d_nano_shapes'
SMALL = ['--epochs', '1', '--image-size', '64']


@pytest.fixture(scope='module')
def trained(cards: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The work dir of a detector that a card alone has trained."""
    folder = tmp_path_factory.mktemp('trained') / 'run'
    assert train.main(['--data', str(cards['boxes']), '--work-dir', str(folder), *SMALL]) == 0
    return folder


def under(card: Path, folder: Path) -> list[str]:
    """The options that put a card under the config of the trained detector."""
    return ['--data', str(card), '--image-size', '64', '--work-dir', str(folder)]


def test_a_card_alone_trains_a_detector_whose_config_needs_no_card(trained: Path, tmp_path: Path) -> None:
    log = next(trained.glob('*/*.log')).read_text()
    assert f'{DETECTOR} on the data of' in log
    assert ' images to train on, batches of ' in log
    assert 'from the data: 1 epochs of 1 iterations' in log
    left = next(trained.glob('*.py'))
    # mmengine's own way to run a config, which is that of upstream's tools.
    cfg = Config.fromfile(left)
    assert '.yaml' not in str([cfg.train_dataloader, cfg.val_dataloader, cfg.val_evaluator])
    cfg.work_dir = str(tmp_path / 'again')
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert runner.epoch == 1


def test_a_config_under_the_same_card_is_that_of_the_checkpoint(
    cards: dict[str, Path], trained: Path, tmp_path: Path
) -> None:
    names, own = [DETECTOR, str(trained / 'epoch_1.pth')], under(cards['boxes'], tmp_path)
    assert test.main([*names, *own]) == 0
    figures = [json.loads((path / 'metrics.json').read_text())['metrics'] for path in (trained, tmp_path)]
    assert figures[0] == figures[1]
    assert infer.main([*names, str(next(cards['boxes'].parent.glob('coco/val2017/*'))), *own]) == 0
    found = json.loads((tmp_path / 'predictions' / 'detections.json').read_text())
    assert [one['name'] for one in found['categories']] == ['circle', 'square', 'star']


def test_an_export_and_the_page_take_a_card(
    cards: dict[str, Path], trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names, own = [DETECTOR, str(trained / 'epoch_1.pth')], under(cards['boxes'], tmp_path)
    # Neither needs its extra before it has the model.
    monkeypatch.setattr('mmseq.predict.page.page.require_gradio', lambda: None)
    scripted = ['--format', 'torchscript']
    with pytest.raises(InputError, match='bbox_head'):
        export_onnx.main([*names, *scripted])
    monkeypatch.setattr('mmseq.export.part_of', stopped)
    with pytest.raises(StopIteration, match='circle, square, star'):
        export_onnx.main([*names, *own, *scripted])
    monkeypatch.setattr('mmseq.predict.page.viewer.Viewer', stopped)
    with pytest.raises(StopIteration, match='circle, square, star'):
        demo_app.main([*names, *own])


def stopped(model: Any, *rest: object) -> None:
    """What a command does once it has its model: here it names the classes and ends."""
    raise StopIteration(', '.join(getattr(model, 'model', model).dataset_meta['classes']))


def test_a_model_is_measured_with_the_classes_and_images_of_a_card(cards: dict[str, Path], tmp_path: Path) -> None:
    folder = str(tmp_path)
    assert flops.main(['--data', str(cards['boxes']), '--image-size', '64', '--work-dir', folder]) == 0
    own = json.loads((tmp_path / 'flops.json').read_text())
    assert (own['config'], own['shape']) == (DETECTOR, [64, 64])
    assert flops.main([DETECTOR, '--shape', '64', '64', '--work-dir', folder]) == 0
    # Eight classes of the config, three of the card: 5 x (256 weights and a bias) x (1 score and 4 sides).
    shipped = json.loads((tmp_path / 'flops.json').read_text())
    assert shipped['total_parameters'] - own['total_parameters'] == 5 * 5 * 257
    measured = ['--data', str(cards['semantic']), '--work-dir', folder]
    assert erf.main([*measured, '--num', '1', '--shape', '64', '64']) == 0
    found = json.loads((tmp_path / 'erf.json').read_text())
    assert (found['config'], found['images']) == ('mmseq::upernet_seq2d_nano_shapes', 'test data')
    assert benchmark.main([*measured, '--sizes', '64', '--seconds', '0', '--no-memory']) == 0
    found = json.loads((tmp_path / 'benchmark.json').read_text())
    assert (found['config'], found['data']['images']) == ('mmseq::upernet_seq2d_nano_shapes', 3)


def test_boxes_and_polygons_of_cvat_are_trained_on_and_predicted(tmp_path: Path) -> None:
    truths = exports.made(tmp_path / 'truth')
    exports.cvat(tmp_path / 'cvat', truths)
    path = tmp_path / 'cvat' / 'annotations.xml'
    box = '<box label="cow" occluded="0" xtl="5" ytl="5" xbr="45" ybr="50" z_order="0"/></image>'
    path.write_text(path.read_text().replace('</image>', box))
    assert import_data.main([str(tmp_path / 'cvat'), '--out', str(tmp_path / 'mine'), '--task', 'instances']) == 0
    run = tmp_path / 'run'
    assert train.main(['--data', str(tmp_path / 'mine' / 'card.yaml'), '--work-dir', str(run), *SMALL]) == 0
    assert 'coco/segm_mAP' in (run / 'metrics.json').read_text()
    assert infer.main([str(run), str(tmp_path / 'truth'), '--score-thr', '0']) == 0
    found = json.loads((run / 'predictions' / 'detections.json').read_text())
    assert len(found['images']) == len(truths)
    assert {one['name'] for one in found['categories']} == {'ant', 'bee', 'cow'}
    assert all('segmentation' in one for one in found['annotations'])


@pytest.mark.parametrize('threshold', [None, -1.0])
def test_a_run_on_label_maps_ends_early_where_it_is_good_enough(
    cards: dict[str, Path], tmp_path: Path, threshold: float | None
) -> None:
    hooks = read_config('mmseq::upernet_seq2d_nano_shapes', {}).custom_hooks
    runner = launch.train(
        None,
        data=str(cards['all_labels']),
        epochs=2,
        image_size=64,
        options={f'custom_hooks.{len(hooks)}.stopping_threshold': threshold},
        work_dir=str(tmp_path),
    )
    assert runner.iter == (2 if threshold is None else 1)
    assert list(tmp_path.glob('best_mIoU_iter_*.pth'))


def test_a_config_for_a_card_is_printed_with_what_was_derived(
    cards: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert print_config.main(['--data', str(cards['semantic']), '--epochs', '7']) == 0
    out = capsys.readouterr().out
    assert out.startswith('# mmseq::upernet_seq2d_nano_shapes, with all that it inherits\n')
    assert '# from the data: 7 iterations, 1 an epoch, 0 iterations of warm-up, evaluated every 1' in out
    assert Config.fromstring(out, '.py').train_cfg.max_iters == 7


def test_the_data_of_a_card_are_checked_without_a_config(
    cards: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for card in ('boxes', 'semantic'):
        assert check_data.main(['--data', str(cards[card]), '--work-dir', str(tmp_path)]) == 0
    assert capsys.readouterr().out.count(' opened\n') == 4
    with pytest.raises(InputError, match='no config: give one'):
        check_data.main([])


def test_each_seed_gets_the_card(cards: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = []

    def runs(*arguments: object) -> dict[str, object]:
        given.append(arguments)
        return dict(seeds={}, statistics={})

    monkeypatch.setattr('mmseq.engine.seeds.run_seeds', runs)
    data = ['--data', str(cards['boxes']), '--epochs', '3']
    assert seeds.main([*data, '--work-dir', str(tmp_path), '--', '--amp']) == 0
    assert given[0][0] == 'mmseq::faster_rcnn_seq2d_nano_shapes'
    assert given[0][-1] == [*data, '--amp']

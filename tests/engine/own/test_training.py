"""Whole runs on a card: what is said, what is left behind, and when they end."""

import json
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.runner import Runner

from mmseq.cli import check_data, infer, print_config, seeds, test, train
from mmseq.config import read_config
from mmseq.engine import launch
from mmseq.errors import InputError

SMALL = ['--epochs', '1', '--image-size', '64']


def test_a_card_alone_trains_a_detector_whose_config_needs_no_card(cards: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / 'run'
    assert train.main(['--data', str(cards['boxes']), '--work-dir', str(folder), *SMALL]) == 0
    log = next(folder.glob('*/*.log')).read_text()
    assert 'mmseq::faster_rcnn_seq2d_nano_shapes on the data of' in log
    assert ' images to train on, batches of ' in log
    assert 'from the data: 1 epochs of 1 iterations' in log
    left = next(folder.glob('*.py'))
    # mmengine's own way to run a config, which is that of upstream's tools.
    cfg = Config.fromfile(left)
    assert '.yaml' not in str([cfg.train_dataloader, cfg.val_dataloader, cfg.val_evaluator])
    cfg.work_dir = str(tmp_path / 'again')
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert runner.epoch == 1
    # Nor does the checkpoint need it: a config under the same card is the model's.
    own = ['--data', str(cards['boxes']), '--image-size', '64', '--work-dir', str(tmp_path / 'other')]
    names = ['mmseq::faster_rcnn_seq2d_nano_shapes', str(folder / 'epoch_1.pth')]
    assert test.main([*names, *own]) == 0
    figures = [json.loads((path / 'metrics.json').read_text())['metrics'] for path in (folder, tmp_path / 'other')]
    assert figures[0] == figures[1]
    assert infer.main([*names, str(next(cards['boxes'].parent.glob('coco/val2017/*'))), *own]) == 0
    found = json.loads((tmp_path / 'other' / 'predictions' / 'detections.json').read_text())
    assert [one['name'] for one in found['categories']] == ['circle', 'square', 'star']


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

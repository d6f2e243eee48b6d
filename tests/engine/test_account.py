"""The words of a run: model, weights, figures, end."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from torch import nn

from mmseq.engine import account
from mmseq.engine.hooks import RecipeHook


def test_figures_stand_in_a_row_for_each_kind_of_prediction() -> None:
    boxes = {f'coco/bbox_{name}': 0.5 for name in ('mAP', 'mAP_50')}
    masks = {f'coco/segm_{name}': 0.25 for name in ('mAP', 'mAP_50')}
    lines = account.table(boxes | masks | {'note': 'text'})
    assert [line.split() for line in lines] == [
        ['mAP', 'mAP_50'],
        ['coco/bbox', '0.5', '0.5'],
        ['coco/segm', '0.25', '0.25'],
    ]
    assert len({len(line) for line in lines}) == 1
    assert [line.split() for line in account.table({'aAcc': 93.21, 'mIoU': 67.8, 'mAcc': 75.0})] == [
        ['aAcc', 'mIoU', 'mAcc'],
        ['93.21', '67.8', '75'],
    ]
    assert account.table({}) == []


def test_figures_of_the_end_leave_out_sizes_and_thresholds() -> None:
    metrics = {'bbox_mAP': 0.5, 'bbox_mAP_50': 0.7, 'bbox_mAP_s': -1, 'segm_mAP': 0.25}
    assert account.figures(metrics, 0.61) == 'bbox_mAP 0.5, segm_mAP 0.25; best 0.61'
    lvis = {'lvis/bbox_AP': 0.5, 'lvis/bbox_AP50': 0.7, 'lvis/bbox_APr': 0.1, 'lvis/bbox_APs': 0.2}
    assert account.figures(lvis, None) == 'lvis/bbox_AP 0.5'
    assert account.table(lvis)[0].split() == ['AP', 'AP50', 'APr', 'APs']


@pytest.mark.parametrize('seconds, text', [(41.6, '42 s'), (192, '3 min 12 s'), (18120, '5 h 2 min')])
def test_durations(seconds: float, text: str) -> None:
    assert account.duration(seconds) == text


def test_a_model_with_frozen_parameters() -> None:
    class Detector(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone, self.bbox_head, self.rpn_head = nn.Conv2d(3, 64, 7), nn.Linear(1000, 200), nn.Identity()

    model = Detector()
    model.backbone.requires_grad_(False)
    assert account.describe_model(model) == 'Detector (Conv2d, Linear), 0.2 M parameters, 9472 of them frozen'


def test_classes_are_listed_up_to_six() -> None:
    assert account.listed(['cell']) == '1 class: cell'
    assert account.listed('abcdefg') == '7 classes: a, b, c, d, e, f, ...'


def test_weights_of_a_whole_model_are_named(tmp_path: Path) -> None:
    runner = SimpleNamespace(_load_from=str(tmp_path / 'a.pth'))
    assert account.describe_weights(runner, ['checkpoint: 2/2 tensors fit']) == [
        f'{tmp_path / "a.pth"}, checkpoint: 2/2 tensors fit'
    ]
    assert account.describe_weights(SimpleNamespace(_load_from=None), [])[0].startswith('random')


def test_what_follows_from_the_data_is_counted() -> None:
    texts = ['effective batch 8 (...)', 'mine.py on the data of card.yaml', 'from the data: a', 'from the data: b']
    runner = SimpleNamespace(hooks=[RecipeHook(texts)])
    assert account.notes(runner) == [
        'mine.py on the data of card.yaml',
        '2 settings follow from the data; the log lists them',
    ]


def test_the_end_names_files_and_commands(tmp_path: Path) -> None:
    for name in ('epoch_1.pth', 'epoch_2.pth', 'best_mIoU_epoch_1.pth', 'metrics.json', 'curves.png'):
        (tmp_path / name).touch()
    hub = SimpleNamespace(runtime_info={'best_score': 61.0})
    runner = SimpleNamespace(work_dir=str(tmp_path), message_hub=hub, cfg={'default_scope': 'mmseg'})
    assert account.end('training', runner, 90, {'mIoU': 60.5}) == [
        'done in 1 min 30 s',
        '  figures   mIoU 60.5; best 61',
        f'  files     {tmp_path}: best_mIoU_epoch_1.pth, epoch_2.pth, metrics.json, curves.png',
        f'  next      mmseq report {tmp_path}',
        f'            mmseq infer {tmp_path} IMAGES    (with best_mIoU_epoch_1.pth)',
    ]
    assert account.end('evaluation', runner, 9, {'mIoU': 60.5}) == [
        'done in 9 s',
        f'  files     {tmp_path}: metrics.json',
        f'  next      mmseq report {tmp_path}',
        f'            mmseq infer {tmp_path} IMAGES    (with best_mIoU_epoch_1.pth)',
    ]
    # The checkpoint is elsewhere.
    for path in tmp_path.glob('*.pth'):
        path.unlink()
    assert account.end('evaluation', runner, 9, {})[2:] == [f'  next      mmseq report {tmp_path}']
    # Neither command is for a classifier.
    runner.cfg = {'default_scope': 'mmengine'}
    assert not any('mmseq' in line for line in account.end('training', runner, 90, {}))


def test_the_rate_is_the_highest_of_the_schedule() -> None:
    assert account.describe_rate({}) == ''

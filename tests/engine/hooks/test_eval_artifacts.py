"""Evaluations of a real Runner leave complete, strictly valid files."""

import csv
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.hooks import LoggerHook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch.utils.data import Dataset

import mmseq
from mmseq.engine.hooks import CurvesHook, EvalArtifactsHook
from mmseq.evaluation.per_class import Table
from mmseq.evaluation.recorders import Recorder

COUNTER = itertools.count()
CLASSES = ('sky', 'road', 'ghost')
LABELS = torch.tensor([[[0, 0], [1, 255]], [[1, 1], [0, 1]], [[0, 1], [0, 1]]])


class Maps(Dataset):
    """Three label maps of 2 x 2, without pixels of the class ghost."""

    metainfo = {'classes': CLASSES}

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> dict:
        return {'inputs': torch.ones(1), 'label': LABELS[index]}


class AllSky(BaseModel):
    """Predicts the first class for every pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))

    def forward(self, inputs: list, label: list, mode: str = 'loss') -> object:
        if mode == 'loss':
            return {'loss': (self.weight * torch.stack(inputs)).square().mean()}
        return [
            {
                'pred_sem_seg': {'data': torch.zeros(1, 2, 2, dtype=torch.long)},
                'gt_sem_seg': {'data': one[None]},
                'img_path': f'{int(one.sum())}.png',
            }
            for one in label
        ]


class Undefined(BaseMetric):
    """A metric without a value."""

    default_prefix = 'odd'

    def process(self, data_batch: object, data_samples: list) -> None:
        self.results.extend(data_samples)

    def compute_metrics(self, results: list) -> dict:
        return {
            'nothing': float('nan'),
            'rounded': np.float32(0.81),
            'tensor': torch.tensor(2.0),
            'list': [1, float('inf')],
        }


def _runner(
    work_dir: Path,
    hook: EvalArtifactsHook,
    first: BaseMetric | None = None,
    *,
    train: bool = False,
    **arguments: object,
) -> Runner:
    from mmseg.evaluation import IoUMetric

    evaluator = Evaluator([first or Undefined(), IoUMetric()])
    loader = dict(dataset=Maps(), batch_size=2, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False))
    endless = loader | dict(sampler=dict(type='InfiniteSampler'))
    training = dict(
        train_dataloader=endless,
        train_cfg=dict(by_epoch=False, max_iters=5, val_interval=2),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        val_dataloader=loader,
        val_cfg=dict(),
        val_evaluator=evaluator,
    )
    testing = dict(test_dataloader=loader, test_cfg=dict(), test_evaluator=evaluator)
    name = f'artifacts{next(COUNTER)}'
    config = work_dir / 'upernet_demo.py'
    config.touch()
    return Runner(
        model=AllSky(),
        work_dir=str(work_dir),
        custom_hooks=[hook, CurvesHook()],
        default_hooks=dict(
            logger=LoggerHook(interval=1, log_metric_by_epoch=False),
            checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=3),
        ),
        log_processor=dict(by_epoch=False),
        log_level='ERROR',
        randomness=dict(seed=0),
        experiment_name=name,
        cfg=Config({}, filename=str(config)),
        **(training if train else testing),
        **arguments,
    )


def _strict_json(text: str) -> dict:
    def refuse(constant: str) -> None:
        raise ValueError(f'{constant} is not JSON')

    return json.loads(text, parse_constant=refuse)


def _cells(path: Path) -> list[list[str]]:
    with path.open(newline='') as file:
        return list(csv.reader(file))


@pytest.fixture(scope='module')
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    work_dir = tmp_path_factory.mktemp('trained')
    _runner(work_dir, EvalArtifactsHook(out_dir=str(work_dir / 'unused')), train=True).train()
    return work_dir


def test_metrics_file_of_a_validation(trained: Path) -> None:
    report = _strict_json((trained / 'metrics.json').read_text())
    assert report['mode'] == 'val'
    assert (report['iteration'], report['epoch'], report['dataset_size']) == (5, 0, 3)
    assert report['metrics']['odd/nothing'] is None
    assert report['metrics']['odd/rounded'] == 0.81
    assert report['metrics']['odd/tensor'] == 2.0
    assert report['metrics']['odd/list'] == [1, None]
    # sky 5 of 11 pixels, road 0, ghost does not count
    assert report['metrics']['mIoU'] == pytest.approx(100 * 5 / 11 / 2, abs=0.01)
    assert report['config'] == 'upernet_demo.py'
    assert report['checkpoint'] == str(trained / 'iter_5.pth')
    assert report['versions']['mmseq'] == mmseq.__version__
    assert report['versions']['torch'] == torch.__version__
    assert {'mmengine', 'mmdet', 'mmseg'} <= set(report['versions'])
    assert report['per_class'][0][0]['IoU'] == pytest.approx(100 * 5 / 11)
    assert report['per_class'][0][2]['IoU'] is None


def test_tables_of_a_validation(trained: Path) -> None:
    header, sky, road, ghost = _cells(trained / 'per_class.csv')
    assert header == ['class', 'IoU', 'Acc', 'label_pixels', 'prediction_pixels', 'intersection_pixels']
    assert float(sky[1]) == pytest.approx(100 * 5 / 11)
    assert road == ['road', '0.0', '0.0', '6', '0', '0']
    assert ghost == ['ghost', '', '', '0', '0', '0']
    assert _cells(trained / 'confusion_matrix.csv') == [
        ['truth \\ prediction', *CLASSES],
        ['sky', '5', '0', '0'],
        ['road', '6', '0', '0'],
        ['ghost', '0', '0', '0'],
    ]


def test_images_of_a_validation(trained: Path) -> None:
    header, *rows = _cells(trained / 'per_image.csv')
    assert header[:5] == ['image', 'score', 'pixel_accuracy', 'pixels', 'right_pixels']
    assert [row[0] for row in rows] == [f'{int(label.sum())}.png' for label in LABELS]
    # sky 2/3, road 0/1; 1/4 and 0/3; 2/4 and 0/2
    assert [float(row[1]) for row in rows] == [pytest.approx(100 * iou / 2) for iou in (2 / 3, 1 / 4, 1 / 2)]
    assert [row[3:5] for row in rows] == [['3', '2'], ['4', '1'], ['4', '2']]
    assert not (trained / 'error_analysis.json').exists()


class Errors(Recorder):
    """Holds what a test gives it."""


def test_files_of_an_evaluation_before_are_removed(tmp_path: Path) -> None:
    hook = EvalArtifactsHook()
    recorder = Errors(Undefined())
    hook._recorders = [recorder]
    recorder.table = recorder.images = recorder.confusion = Table(('class', 'AP'), (('cat', None),))
    recorder.errors = {'bbox': {'AP50': float('nan')}}
    hook._write(tmp_path, {})
    names = {'per_class.csv', 'per_image.csv', 'confusion_matrix.csv', 'error_analysis.json', 'metrics.json'}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert _strict_json((tmp_path / 'error_analysis.json').read_text()) == {'bbox': {'AP50': None}}
    # a detector that finds nothing
    recorder._forget()
    hook._write(tmp_path, {})
    assert {path.name for path in tmp_path.iterdir()} == {'metrics.json'}


def test_history_has_a_line_for_each_validation(trained: Path) -> None:
    lines = [_strict_json(line) for line in (trained / 'metrics_history.jsonl').read_text().splitlines()]
    assert [line['iteration'] for line in lines] == [2, 4, 5]
    # weights are saved at iterations 3 and 5
    assert [line['checkpoint'] for line in lines] == [None, None, str(trained / 'iter_5.pth')]
    assert all(line['metrics']['mIoU'] > 0 and line['time'] for line in lines)


def test_curves_are_drawn_and_nothing_is_left_over(trained: Path) -> None:
    assert (trained / 'curves.png').stat().st_size > 5000
    assert not [path.name for path in trained.iterdir() if path.name.startswith('.')]
    assert not (trained / 'unused').exists()


def test_test_results_go_to_their_own_folder(trained: Path, tmp_path: Path) -> None:
    weights = str(trained / 'iter_3.pth')
    runner = _runner(tmp_path, EvalArtifactsHook(out_dir=str(tmp_path / 'out')), load_from=weights)
    runner.test()
    report = _strict_json((tmp_path / 'out' / 'metrics.json').read_text())
    assert (report['mode'], report['iteration'], report['checkpoint']) == ('test', 3, weights)
    assert (tmp_path / 'out' / 'confusion_matrix.csv').exists()
    assert not (tmp_path / 'out' / 'metrics_history.jsonl').exists()
    assert not (tmp_path / 'metrics.json').exists()
    # the metric has its own methods back
    assert not any(name.startswith('_mmseq') or name == 'evaluate' for name in vars(runner.test_evaluator.metrics[1]))


def test_two_tables_get_two_files(tmp_path: Path) -> None:
    from mmseg.evaluation import IoUMetric

    first = IoUMetric(prefix='first', iou_metrics=['mDice'])
    _runner(tmp_path, EvalArtifactsHook(), first).test()
    assert 'Dice' in _cells(tmp_path / 'per_class.csv')[0]
    assert 'IoU' in _cells(tmp_path / 'per_class_2.csv')[0]
    assert (tmp_path / 'confusion_matrix_2.csv').exists()
    assert len(_strict_json((tmp_path / 'metrics.json').read_text())['per_class']) == 2

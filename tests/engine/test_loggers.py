"""TensorBoard and Weights & Biases: what a real run leaves in their files, read back by their own formats."""

import json
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch.utils.data import Dataset

from mmseq.cli.train import build_parser
from mmseq.engine import loggers
from mmseq.engine.loggers import iteration, place
from mmseq.errors import InputError

PICTURE = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def test_the_command_line() -> None:
    args = build_parser().parse_args(['x.py', '--log-to', 'tensorboard', 'wandb', '--log-images', '4'])
    assert (args.log_to, args.log_images) == (['tensorboard', 'wandb'], 4)
    with pytest.raises(SystemExit):
        build_parser().parse_args(['x.py', '--log-to', 'paper'])


def test_validations_stand_at_the_iteration_that_was_trained() -> None:
    hub = MessageHub.get_instance('iterations')
    assert iteration(7) == 7
    hub.update_info('iter', 11)
    # in training mmengine counts from 0
    assert iteration(2) == 12
    assert place({'mIoU': 3.0, 'time': 1.0}, 2) == ({'mIoU': 3.0, 'val/time': 1.0}, 12)
    assert place({'loss': 3.0, 'time': 1.0, 'iter': 10}, 99) == ({'loss': 3.0, 'time': 1.0, 'iter': 10}, 10)


class Ones(Dataset):
    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> dict:
        return {'inputs': torch.ones(1)}


class Model(BaseModel):
    """Any model that trains and predicts."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))

    def forward(self, inputs: list, mode: str = 'loss') -> object:
        return {'loss': self.weight * torch.stack(inputs).mean()} if mode == 'loss' else [{} for _ in inputs]


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Weights & Biases on a machine without a login, whatever this one has."""
    wandb = pytest.importorskip('wandb')
    for name in ('WANDB_MODE', 'WANDB_PROJECT'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv('WANDB_SILENT', 'true')
    monkeypatch.setattr(wandb, 'login', lambda prompt: False)


def train(work_dir: Path, *backends: str) -> Path:
    """Two epochs of three iterations, each with a validation and a picture; returns the folder of the logs."""
    from mmengine.evaluator import Evaluator
    from mmengine.hooks import Hook, LoggerHook

    class Draw(Hook):
        def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
            runner.visualizer.add_image('val_0_first', PICTURE, step=iteration(0))

    loader = dict(dataset=Ones(), batch_size=2, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False))
    runner = Runner(
        model=Model(),
        work_dir=str(work_dir),
        train_dataloader=loader,
        train_cfg=dict(by_epoch=True, max_epochs=2),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        val_dataloader=loader,
        val_cfg=dict(),
        val_evaluator=Evaluator([]),
        default_hooks=dict(logger=LoggerHook(interval=1)),
        custom_hooks=[Draw()],
        visualizer=dict(type='Visualizer', vis_backends=[dict(type=name) for name in backends]),
        log_level='ERROR',
        experiment_name=f'{work_dir.name}_{len(backends)}',
        cfg=Config(dict(answer=42)),
    )
    runner.train()
    (folder,) = work_dir.glob('*/vis_data')
    return folder


def test_event_files(tmp_path: Path) -> None:
    accumulator = pytest.importorskip('tensorboard.backend.event_processing.event_accumulator')
    folder = train(tmp_path / 'board', 'LocalVisBackend', 'mmseq.TensorboardBackend')
    events = accumulator.EventAccumulator(str(folder), size_guidance=dict(images=0, scalars=0))
    events.Reload()

    def steps(tag: str) -> list[int]:
        return [event.step for event in events.Scalars(tag)]

    assert steps('loss') == steps('time') == [1, 2, 3, 4, 5, 6]
    # mmengine would say 1 and 2, the epochs
    assert steps('val/time') == [3, 6]
    assert events.Scalars('loss')[-1].value < events.Scalars('loss')[0].value
    pictures = events.Images('val_0_first')
    assert [(one.step, one.height, one.width) for one in pictures] == [(3, 20, 30), (6, 20, 30)]
    assert 'answer' in str(events.Tensors('config/text_summary')[0])
    assert {path.name for path in (folder / 'vis_image').iterdir()} == {'val_0_first_3.png', 'val_0_first_6.png'}


def records(path: Path) -> Iterator[object]:
    """What is in a run of Weights & Biases: messages in LevelDB's log format, in blocks of 32 KiB."""
    from wandb.proto import wandb_internal_pb2

    data, position, message = path.read_bytes(), 7, b''
    while position + 7 <= len(data):
        if (rest := 32768 - position % 32768) < 7:
            position += rest
            continue
        _, length, kind = struct.unpack_from('<IHB', data, position)
        position += 7
        if position + length > len(data):
            # still being written
            return
        message += data[position : position + length]
        position += length
        # a whole one, or the last part of one
        if kind in (1, 4):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(message)
            yield record
            message = b''


def test_offline_run(offline: None, tmp_path: Path) -> None:
    folder = train(tmp_path / 'weights', 'LocalVisBackend', 'mmseq.WandbBackend')
    (path,) = folder.glob('wandb/offline-run-*/*.wandb')
    # wandb's own process writes, and ends a little later
    end = time.monotonic() + 30
    while not (found := list(records(path))) or found[-1].WhichOneof('record_type') != 'exit':
        assert time.monotonic() < end
        time.sleep(0.05)
    (run,) = (record.run for record in found if record.WhichOneof('record_type') == 'run')
    assert (run.project, run.display_name, run.run_group) == ('mmseq', 'weights', 'weights')
    assert 'answer' in str([record.config for record in found]) + str(run.config)
    history = [
        {(item.key or '.'.join(item.nested_key)): json.loads(item.value_json) for item in record.history.item}
        for record in found
        if record.WhichOneof('record_type') == 'history'
    ]
    assert [row['iter'] for row in history if 'loss' in row] == [1, 2, 3, 4, 5, 6]
    assert [row['iter'] for row in history if 'val/time' in row] == [3, 6]
    drawn = [row for row in history if any(key.startswith('val_0_first') for key in row)]
    assert [row['iter'] for row in drawn] == [3, 6]
    # everything is drawn over the iterations
    assert any(record.metric.step_metric == 'iter' for record in found)
    # two epochs of the same picture; the code is not uploaded
    assert len(list(folder.glob('wandb/offline-run-*/files/media/images/*.png'))) == 2
    assert not list(folder.rglob('*.py')) or {path.name for path in folder.rglob('*.py')} == {'config.py'}


def test_a_server_that_cannot_be_reached(offline: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import wandb

    modes = []

    def init(mode: str = 'online', **arguments: object) -> None:
        modes.append(mode)
        if mode == 'online':
            raise wandb.errors.CommError('no answer\nafter 90 s')

    def unknown(prompt: bool) -> bool:
        raise wandb.errors.AuthenticationError('who are you?')

    monkeypatch.setattr(wandb, 'init', init)
    monkeypatch.setattr(wandb, 'define_metric', lambda *args, **kwargs: None)
    folder = str(tmp_path / 'run' / 'now' / 'vis_data')
    for login in (lambda prompt: True, unknown):
        monkeypatch.setattr(wandb, 'login', login)
        loggers.WandbBackend(folder)._init_env()
    assert modes == ['online', 'offline', 'offline']
    # who asked for it wants to know
    monkeypatch.setenv('WANDB_MODE', 'online')
    with pytest.raises(InputError, match='--log-to wandb: no answer; WANDB_MODE is online'):
        loggers.WandbBackend(folder)._init_env()

"""A resumed run repeats the losses of the uninterrupted one, bit by bit."""

import itertools
import random
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.hooks import CheckpointHook, Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler

from mmseq.engine.hooks import RandomStreamsHook
from mmseq.engine.loader import NumberedLoader

COUNTER = itertools.count()


class Augmented(Dataset):
    """Eight vectors, each shifted by numbers from all three generators."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        noise = np.random.rand(4) + random.random()
        return {'inputs': torch.full((4,), index / 8) + torch.from_numpy(noise).float() + torch.rand(4)}


class Droppy(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(4, 4)
        self.dropout = torch.nn.Dropout(0.5)

    def forward(self, inputs: list, mode: str = 'loss', **kwargs: object) -> object:
        if mode == 'loss':
            return {'loss': self.dropout(self.linear(torch.stack(inputs))).square().mean()}
        # a model whose inference is random must not disturb the training either
        torch.rand(3), np.random.rand(3), random.random()
        return [0] * len(inputs)


class Losses(Hook):
    def __init__(self) -> None:
        self.values: dict[int, float] = {}

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: object = None, outputs: dict | None = None
    ) -> None:
        self.values[runner.iter] = outputs['loss'].item()


def _train(
    folder: Path, by_epoch: bool, workers: int, persistent: bool, resume: str | None = None, hook: bool = True
) -> dict[int, float]:
    loader = dict(dataset=Augmented(), batch_size=2, num_workers=workers, persistent_workers=persistent)
    sampler = dict(type='DefaultSampler' if by_epoch else 'InfiniteSampler', shuffle=True)
    losses = Losses()
    loops = [dict(type='mmseq.IterLoop', max_iters=12, val_interval=3), dict(type='mmseq.EpochLoop', max_epochs=3)]
    torch.manual_seed(0)
    runner = Runner(
        model=Droppy(),
        work_dir=str(folder),
        train_dataloader=loader | dict(sampler=sampler),
        train_cfg=loops[by_epoch],
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9)),
        val_dataloader=dict(
            dataset=Augmented(), batch_size=4, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False)
        ),
        val_cfg=dict(),
        val_evaluator=dict(type='Evaluator', metrics=[]),
        default_hooks=dict(checkpoint=CheckpointHook(interval=1 if by_epoch else 5, by_epoch=by_epoch)),
        custom_hooks=[losses, *([RandomStreamsHook()] if hook else [])],
        randomness=dict(seed=3),
        log_processor=dict(by_epoch=by_epoch),
        log_level='WARNING',
        experiment_name=f'streams{next(COUNTER)}',
        load_from=resume,
        resume=resume is not None,
    )
    runner.train()
    # workers whose loader is left to the cyclic garbage collector wait five seconds for their end
    runner.train_loop.dataloader_iterator = runner.train_dataloader._iterator = None
    return losses.values


@pytest.mark.parametrize(('workers', 'persistent'), [(0, False), (2, False), (2, True)])
@pytest.mark.parametrize('by_epoch', [True, False], ids=['epochs', 'iterations'])
def test_resume_continues_bit_by_bit(tmp_path: Path, by_epoch: bool, workers: int, persistent: bool) -> None:
    whole = _train(tmp_path / 'whole', by_epoch, workers, persistent)
    saved, start = ('epoch_1.pth', 4) if by_epoch else ('iter_5.pth', 5)
    resumed = _train(tmp_path / 'resumed', by_epoch, workers, persistent, str(tmp_path / 'whole' / saved))
    assert sorted(whole) == list(range(12))
    assert sorted(resumed) == list(range(start, 12))
    assert resumed == {i: whole[i] for i in resumed}
    # the comparison means something only if randomness is at work
    assert len(set(whole.values())) == 12


@pytest.mark.parametrize('by_epoch', [True, False], ids=['epochs', 'iterations'])
def test_losses_do_not_depend_on_the_number_of_workers(tmp_path: Path, by_epoch: bool) -> None:
    assert _train(tmp_path / 'a', by_epoch, 0, False) == _train(tmp_path / 'b', by_epoch, 1, True)


def test_without_the_hook_a_resume_diverges(tmp_path: Path) -> None:
    """Guards the tests above: the runs they compare must be able to differ."""
    whole = _train(tmp_path / 'whole', True, 1, False, hook=False)
    resumed = _train(tmp_path / 'resumed', True, 1, False, str(tmp_path / 'whole' / 'epoch_1.pth'), hook=False)
    assert resumed
    assert all(resumed[i] != whole[i] for i in resumed)


def _loader(seed: int) -> NumberedLoader:
    sampler = RandomSampler(Augmented())
    sampler.seed = seed
    return NumberedLoader(DataLoader(Augmented(), batch_sampler=BatchSampler(sampler, 2, False)), True, seed)


def test_another_seed_on_resume_and_a_foreign_loader_are_warned_about() -> None:
    warnings: list[str] = []
    logger = SimpleNamespace(warning=warnings.append)
    RandomStreamsHook().before_train(SimpleNamespace(train_dataloader=_loader(4), seed=3, iter=5, logger=logger))
    assert len(warnings) == 1
    assert 'randomness=dict(seed=3)' in warnings[0]
    RandomStreamsHook().before_train(SimpleNamespace(train_dataloader=_loader(3), seed=3, iter=5, logger=logger))
    assert len(warnings) == 1
    foreign = DataLoader(Augmented(), batch_size=2)
    RandomStreamsHook().before_train(SimpleNamespace(train_dataloader=foreign, seed=3, iter=0, logger=logger))
    assert len(warnings) == 2
    assert 'mmseq.IterLoop' in warnings[1]


def test_model_streams_differ_between_iterations_and_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    def draw(iteration: int, rank: int) -> float:
        monkeypatch.setattr('mmseq.engine.hooks.random_streams.get_rank', lambda: rank)
        RandomStreamsHook().before_train_iter(SimpleNamespace(seed=3, iter=iteration), 0)
        return torch.rand(()).item()

    assert draw(0, 0) == draw(0, 0)
    assert len({draw(0, 0), draw(1, 0), draw(0, 1)}) == 3

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
from torch.utils.data import Dataset

from mmseq.engine.hooks import RandomStreamsHook
from mmseq.engine.hooks.random_streams import SeededFetch, derive_seed, seed_all

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
    train_cfg = dict(by_epoch=True, max_epochs=3) if by_epoch else dict(by_epoch=False, max_iters=12, val_interval=3)
    torch.manual_seed(0)
    runner = Runner(
        model=Droppy(),
        work_dir=str(folder),
        train_dataloader=loader | dict(sampler=sampler),
        train_cfg=train_cfg,
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


def test_epochs_do_not_depend_on_the_number_of_workers(tmp_path: Path) -> None:
    assert _train(tmp_path / 'a', True, 0, False) == _train(tmp_path / 'b', True, 1, True)


def test_without_the_hook_a_resume_diverges(tmp_path: Path) -> None:
    """Guards the tests above: the runs they compare must be able to differ."""
    whole = _train(tmp_path / 'whole', True, 0, False, hook=False)
    resumed = _train(tmp_path / 'resumed', True, 0, False, str(tmp_path / 'whole' / 'epoch_1.pth'), hook=False)
    assert all(resumed[i] != whole[i] for i in resumed)


def test_another_seed_on_resume_is_warned_about(tmp_path: Path) -> None:
    warnings: list[str] = []
    sampler = SimpleNamespace(seed=4)
    loader = SimpleNamespace(sampler=None, dataset=Augmented(), batch_sampler=SimpleNamespace(sampler=sampler))
    runner = SimpleNamespace(
        train_dataloader=loader,
        seed=3,
        iter=5,
        train_loop=None,
        logger=SimpleNamespace(warning=warnings.append),
    )
    RandomStreamsHook().before_train(runner)
    assert len(warnings) == 1
    assert 'randomness=dict(seed=3)' in warnings[0]

    sampler.seed = 3
    RandomStreamsHook().before_train(runner)
    assert len(warnings) == 1


def test_seeded_fetch_is_a_function_of_epoch_and_indices() -> None:
    dataset = Augmented()
    fetch = SeededFetch.install(dataset, seed=1, rank=0)
    assert SeededFetch.install(dataset, seed=1, rank=0) is fetch

    def batch(*indices: int) -> torch.Tensor:
        return torch.stack([sample['inputs'] for sample in fetch(indices)])

    first = batch(2, 5)
    other = batch(5, 2)
    assert torch.equal(first, batch(2, 5))
    assert not torch.equal(first, other.flip(0))
    fetch.epoch.fill_(1)
    assert not torch.equal(first, batch(2, 5))
    assert not torch.equal(first, SeededFetch(Augmented(), seed=1, rank=1)([2, 5])[0]['inputs'])


def test_seeds_are_stable_and_distinct() -> None:
    assert derive_seed('iteration', 0, 0, 0) == 5301202772552679360
    keys = [('iteration', 1, 23), ('iteration', 12, 3), ('epoch', 1, 23), ('iteration', 1, 2, 3)]
    assert len({derive_seed(*key) for key in keys}) == len(keys)
    assert all(0 <= derive_seed(*key) < 2**63 for key in keys)
    seed_all(derive_seed('iteration', 1))
    first = (random.random(), np.random.rand(), torch.rand(()).item())
    seed_all(derive_seed('iteration', 1))
    assert first == (random.random(), np.random.rand(), torch.rand(()).item())


def test_streams_differ_between_iterations_epochs_and_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    loader = SimpleNamespace(sampler=SimpleNamespace(seed=3), dataset=Augmented(), batch_sampler=object())
    runner = SimpleNamespace(train_dataloader=loader, seed=3, iter=0, epoch=0, train_loop=None)
    hook = RandomStreamsHook()
    hook.before_train(runner)

    def draw(iteration: int, epoch: int, rank: int = 0) -> tuple[float, float, float]:
        monkeypatch.setattr('mmseq.engine.hooks.random_streams.get_rank', lambda: rank)
        runner.iter, runner.epoch = iteration, epoch
        hook.before_train_epoch(runner)
        hook.before_train_iter(runner, 0)
        model = torch.rand(()).item()
        hook.after_train_iter(runner, 0)
        return model, torch.rand(()).item(), loader.dataset.__getitems__([1])[0]['inputs'][0].item()

    base = draw(0, 0)
    assert draw(0, 0) == base
    assert [a == b for a, b in zip(base, draw(1, 0))] == [False, True, True]
    assert [a == b for a, b in zip(base, draw(0, 1))] == [True, False, False]
    # the rank of the fetch is fixed when it is installed
    assert [a == b for a, b in zip(base, draw(0, 0, rank=1))] == [False, False, True]

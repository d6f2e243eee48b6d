"""Randomness as a function of the position in training, so that a resumed run continues bit by bit."""

import hashlib
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner
from torch.utils.data import DataLoader

from mmseq.registry import HOOKS


@HOOKS.register_module()
class RandomStreamsHook(Hook):
    """Make the losses after a resume those of the uninterrupted run, without storing any generator's state.

    Two streams are kept apart. The *model stream* (drop path, dropout, sampling of proposals) of iteration i is torch
    seeded from (seed, rank, i). The *data stream* (augmentation) is everything else: it is put aside while the model
    computes and while the model is validated, so neither shifts the augmentation that follows.

    - ``IterBasedTrainLoop``: the data stream of the main process starts from (seed, rank) and mmengine replays the
      loader on resume, which brings it, and every worker, back to where it was. Exact for any ``num_workers`` (the
      same one before and after) and for ``persistent_workers`` on and off.
    - ``EpochBasedTrainLoop``: each batch is loaded with generators seeded from (seed, rank, epoch, indices of the
      batch), in whichever process loads it. Exact for checkpoints at the end of an epoch, for any ``num_workers``,
      even another one than before, and for ``persistent_workers`` on and off. Without this hook mmengine starts the
      workers of every epoch from one seed, and persistent workers continue a stream that a resume cannot restore.

    The seed must be given (``randomness=dict(seed=...)``): mmengine takes the one of the checkpoint only after
    the samplers were built, and the hook warns if they disagree. Not exact: a checkpoint from within an epoch of
    ``EpochBasedTrainLoop`` (mmengine starts that epoch anew), another number of ranks, operators that are not
    deterministic, in the epoch loop a data set that keeps random state of its own, and random calls of other hooks
    after the iteration, if the main process loads the data.
    """

    # before other hooks, so that their random calls before an iteration are repeatable as well
    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self._data_stream: tuple | None = None

    def before_train(self, runner: Runner) -> None:
        """Compare the seeds, and seed the batches of an epoch-based loop one by one."""
        loader = runner.train_dataloader
        # with a batch sampler, mmdet's for one, loader.sampler is only torch's placeholder
        sampler_seed = getattr(getattr(loader.batch_sampler, 'sampler', loader.sampler), 'seed', None)
        if runner.iter > 0 and sampler_seed not in (None, runner.seed):
            runner.logger.warning(
                f'The order of the samples was drawn from seed {sampler_seed}, but the resumed run had seed '
                f'{runner.seed}: the run continues on other batches than it would have. Set '
                f'randomness=dict(seed={runner.seed}) in the config.'
            )
        # by iteration all passes over the data have the same key, so there the replayed stream has to do
        if not isinstance(runner.train_loop, IterBasedTrainLoop) and _is_map_style(loader):
            SeededFetch.install(loader.dataset, runner.seed, get_rank())

    def before_train_epoch(self, runner: Runner) -> None:
        """Start the data stream of the epoch; by iteration the whole training is epoch 0, which is replayed."""
        by_iteration = isinstance(runner.train_loop, IterBasedTrainLoop)
        epoch = 0 if by_iteration else runner.epoch
        if isinstance(getattr(runner.train_dataloader.dataset, '__getitems__', None), SeededFetch):
            runner.train_dataloader.dataset.__getitems__.epoch.fill_(epoch)
        seed_all(derive_seed('epoch', runner.seed, get_rank(), epoch))

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Put the data stream aside and start the model stream of this iteration."""
        self._data_stream = _get_streams()
        seed = derive_seed('iteration', runner.seed, get_rank(), runner.iter)
        seed_all(seed)
        if torch.cuda.is_available():
            torch.cuda.manual_seed(seed)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        """Continue the data stream."""
        self._restore()

    def before_val(self, runner: Runner) -> None:
        """Put the data stream aside."""
        self._data_stream = _get_streams()

    def after_val(self, runner: Runner) -> None:
        """Continue the data stream."""
        self._restore()

    def _restore(self) -> None:
        if self._data_stream is not None:
            _set_streams(self._data_stream)
            self._data_stream = None


class SeededFetch:
    """Loads the samples of a batch with generators seeded from (seed, rank, epoch, indices).

    It stands as ``__getitems__`` of a data set: torch's protocol for loading a batch at once, called in the process
    that loads it. The epoch lies in shared memory, since persistent workers hold a copy of everything else.

    Args:
        dataset: a map-style data set.
        seed: seed of the run.
        rank: rank of this process.
    """

    def __init__(self, dataset: Any, seed: int, rank: int) -> None:
        self.dataset = dataset
        self.seed = seed
        self.rank = rank
        self.epoch = torch.zeros((), dtype=torch.int64).share_memory_()
        self._original = getattr(dataset, '__getitems__', None)

    @classmethod
    def install(cls, dataset: Any, seed: int, rank: int) -> 'SeededFetch':
        """Make a data set load through a SeededFetch, once."""
        if not isinstance(getattr(dataset, '__getitems__', None), cls):
            dataset.__getitems__ = cls(dataset, seed, rank)
        return dataset.__getitems__

    def __call__(self, indices: Sequence[int]) -> list:
        """Load the samples of one batch."""
        indices = list(indices)
        seed_all(derive_seed('batch', self.seed, self.rank, int(self.epoch), *indices))
        return self._original(indices) if self._original else [self.dataset[i] for i in indices]


def derive_seed(purpose: str, *key: int) -> int:
    """A 63-bit seed from a purpose and integers: stable over processes, platforms and versions."""
    text = '/'.join([purpose, *(str(int(part)) for part in key)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), 'big') >> 1


def seed_all(seed: int) -> None:
    """Seed the generators of python, numpy and torch (CPU) in this process."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    # not torch.manual_seed, which touches every visible device
    torch.default_generator.manual_seed(seed)


def _get_streams() -> tuple:
    return random.getstate(), np.random.get_state(), torch.get_rng_state()


def _set_streams(streams: tuple) -> None:
    python, numpy, torch_cpu = streams
    random.setstate(python)
    np.random.set_state(numpy)
    torch.set_rng_state(torch_cpu)


def _is_map_style(loader: DataLoader) -> bool:
    return not isinstance(loader.dataset, torch.utils.data.IterableDataset) and loader.batch_sampler is not None

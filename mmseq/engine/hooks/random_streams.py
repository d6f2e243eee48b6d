"""Randomness as a function of the position in training, so that a resumed run continues bit by bit."""

import hashlib
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmseq.engine.loops import NumberedLoader
from mmseq.registry import HOOKS


@HOOKS.register_module()
class RandomStreamsHook(Hook):
    """Make the losses after a resume those of the uninterrupted run, without storing any generator's state.

    - The *model stream* (drop path, dropout, sampling of proposals) of iteration i is torch, numpy and python seeded
      from (seed, rank, i).
    - A validation starts from (seed, rank, iterations so far), also one that is made up for after a kill.
    - The *data stream* (augmentation) of a sample is seeded from (seed, iteration that it is loaded for, index of the
      sample), in whichever process loads it. So it depends neither on ``num_workers`` nor on ``persistent_workers``,
      and one process with batch 4 sees the same images as two with batch 2.

    It takes the loops of `mmseq.engine.loops`, whose batches know their iteration; with another loop, or with data
    that has no indices, only the model stream is repeated, and a warning says so.

    The seed must be given (``randomness=dict(seed=...)``): mmengine takes the one of the checkpoint only after
    the samplers were built, and the hook warns if they disagree. Not exact: another number of ranks, operators that
    are not deterministic, and a data set that keeps random state of its own.
    """

    # before other hooks, so that their random calls before an iteration are repeatable as well
    priority = 'VERY_HIGH'

    def before_train(self, runner: Runner) -> None:
        """Compare the seeds, and seed the samples one by one."""
        loader = runner.train_dataloader
        # with a batch sampler, mmdet's for one, loader.sampler is only torch's placeholder
        sampler_seed = getattr(getattr(loader.batch_sampler, 'sampler', loader.sampler), 'seed', None)
        if runner.iter > 0 and sampler_seed not in (None, runner.seed):
            runner.logger.warning(
                f'The order of the samples was drawn from seed {sampler_seed}, but the resumed run had seed '
                f'{runner.seed}: the run continues on other batches than it would have. Set '
                f'randomness=dict(seed={runner.seed}) in the config.'
            )
        if isinstance(loader, NumberedLoader):
            SeededFetch.install(loader.dataset, runner.seed)
        else:
            runner.logger.warning(
                'The batches of this train_cfg or train_dataloader have no numbers: a resumed run will see other data '
                'than the uninterrupted one. Use train_cfg.type=mmseq.IterLoop or mmseq.EpochLoop and data with indices'
            )

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Start the model stream of this iteration."""
        _start_stream('iteration', runner)

    def before_val_epoch(self, runner: Runner) -> None:
        """Start the stream of this validation: of random metrics, and of random data without workers."""
        _start_stream('validation', runner)


class SeededFetch:
    """Loads the samples of a numbered batch, each with generators seeded from (seed, number, index).

    It stands as ``__getitems__`` of a data set: torch's protocol for loading a batch at once, called in the process
    that loads it. A data set with a ``__getitems__`` of its own is seeded once a batch.

    Args:
        dataset: a map-style data set.
        seed: seed of the run.
    """

    def __init__(self, dataset: Any, seed: int) -> None:
        self.dataset = dataset
        self.seed = seed
        self._original = getattr(dataset, '__getitems__', None)

    @classmethod
    def install(cls, dataset: Any, seed: int) -> 'SeededFetch':
        """Make a data set load through a SeededFetch, once."""
        if not isinstance(getattr(dataset, '__getitems__', None), cls):
            dataset.__getitems__ = cls(dataset, seed)
        return dataset.__getitems__

    def __call__(self, indices: Sequence[int]) -> list:
        """Load the samples of one `mmseq.engine.loops.NumberedBatch`."""
        if self._original:
            seed_all(derive_seed('batch', self.seed, indices.number, *indices))
            return self._original(indices)
        return [self._load(indices.number, index) for index in indices]

    def _load(self, number: int, index: int) -> Any:
        seed_all(derive_seed('sample', self.seed, number, index))
        return self.dataset[index]


def _start_stream(purpose: str, runner: Runner) -> None:
    seed = derive_seed(purpose, runner.seed, get_rank(), runner.iter)
    seed_all(seed)
    if torch.cuda.is_available():
        torch.cuda.manual_seed(seed)


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

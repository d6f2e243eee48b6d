"""Training data whose batches have numbers: what a sample looks like depends on its number and the seed alone.

A resume takes the next batch without loading those before it: the samples of the batches that are skipped are never
read, only their indices are drawn, and the random numbers of a sample are a function of the number of its batch.
"""

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from mmengine.runner import Runner
from torch.utils.data import BatchSampler, DataLoader, Dataset, IterableDataset

from mmseq.errors import InputError


class NumberedBatch(list[Any]):
    """The indices of a batch, and how many batches the training had before it."""

    number: int = 0


class NumberedBatches:
    """Gives the batches of a batch sampler numbers, from any one of them on.

    Args:
        batch_sampler: what is numbered.
        endless: pass over the data again and again, as training by iterations does, instead of once.
    """

    def __init__(self, batch_sampler: BatchSampler, endless: bool) -> None:
        self.batch_sampler = batch_sampler
        self.sampler = batch_sampler.sampler
        self.endless = endless
        self.first = 0
        self.skip = 0

    def __len__(self) -> int:
        return len(self.batch_sampler)

    def __iter__(self) -> Iterator[NumberedBatch]:
        number, start, passes = self.first, self.first + self.skip, 0
        while True:
            before = number
            batches = iter(self.batch_sampler)
            with _sizes_remembered(self.sampler):
                while number < start and next(batches, None) is not None:
                    number += 1
            for indices in batches:
                batch = NumberedBatch(indices)
                batch.number = number
                number += 1
                yield batch
            if not self.endless:
                return
            if number == before:
                raise InputError('train_dataloader: its sampler gives no batch; check the data set and drop_last')
            passes += 1
            if hasattr(self.sampler, 'set_epoch'):
                self.sampler.set_epoch(passes)


@contextmanager
def _sizes_remembered(sampler: Any) -> Iterator[None]:
    """Let a sampler that groups images by their shape ask the data set only once for each while it skips."""
    dataset = getattr(sampler, 'dataset', None)
    if not hasattr(dataset, 'get_data_info'):
        yield
        return
    sampler.dataset = _Sizes(dataset)
    try:
        yield
    finally:
        sampler.dataset = dataset


class _Sizes:
    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset
        self._sizes: dict[int, dict[str, int]] = {}

    def __len__(self) -> int:
        return len(self._dataset)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._dataset, name)

    def get_data_info(self, index: int) -> dict[str, int]:
        if index not in self._sizes:
            info = self._dataset.get_data_info(index)
            self._sizes[index] = {'width': info['width'], 'height': info['height']}
        return self._sizes[index]


class SeededDataset(Dataset[Any]):
    """A data set that loads the samples of a numbered batch with generators seeded from (seed, number, index).

    Its ``__getitems__`` is torch's protocol for loading a batch at once, called in the process that loads it: so a
    sample depends neither on ``num_workers`` nor on ``persistent_workers``, and one process with batch 4 sees the same
    images as two with batch 2. A data set with a ``__getitems__`` of its own is seeded once a batch. All else is the
    data set's own, also what is set: upstream's hooks exchange its pipeline.

    Args:
        dataset: a map-style data set.
        seed: seed of the run.
    """

    def __init__(self, dataset: Any, seed: int) -> None:
        vars(self).update(dataset=dataset, seed=seed)

    def __getattr__(self, name: str) -> Any:
        if name in ('dataset', 'seed') or name.startswith('__'):
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ('dataset', 'seed'):
            vars(self)[name] = value
        else:
            setattr(self.dataset, name, value)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[index]

    def __getitems__(self, indices: NumberedBatch) -> list[Any]:
        """The samples of one batch."""
        if load := getattr(self.dataset, '__getitems__', None):
            seed_all(derive_seed('batch', self.seed, indices.number, *indices))
            return load(indices)
        return [self._load(indices.number, index) for index in indices]

    def _load(self, number: int, index: int) -> Any:
        seed_all(derive_seed('sample', self.seed, number, index))
        return self.dataset[index]


class NumberedLoader(DataLoader[Any]):
    """A loader like another one, of numbered batches; workers start when the first batch is asked for.

    Args:
        loader: gives data set, batches, workers and the rest.
        endless: as of `NumberedBatches`.
        seed: of the samples' random numbers; `SeededDataset` has it.
    """

    dataset: SeededDataset
    batch_sampler: NumberedBatches

    def __init__(self, loader: DataLoader[Any], endless: bool, seed: int) -> None:
        batches: Any = loader.batch_sampler
        super().__init__(
            SeededDataset(loader.dataset, seed),
            batch_sampler=NumberedBatches(batches, endless),
            num_workers=loader.num_workers,
            collate_fn=loader.collate_fn,
            pin_memory=loader.pin_memory,
            timeout=loader.timeout,
            worker_init_fn=loader.worker_init_fn,
            multiprocessing_context=loader.multiprocessing_context,
            generator=loader.generator,
            prefetch_factor=loader.prefetch_factor,
            persistent_workers=loader.persistent_workers,
        )

    # torch's own iterator starts its workers as it is made.
    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        yield from super().__iter__()


def build_loader(runner: Runner, dataloader: DataLoader[Any] | dict[str, Any], endless: bool) -> DataLoader[Any]:
    """The training loader with numbered batches; streams of data without indices stay as they are."""
    if isinstance(dataloader, dict):
        diff_rank_seed = runner._randomness_cfg.get('diff_rank_seed', False)
        built: DataLoader[Any] = runner.build_dataloader(dataloader, seed=runner.seed, diff_rank_seed=diff_rank_seed)
    else:
        built = dataloader
    if built.batch_sampler is None or isinstance(built.dataset, IterableDataset):
        return built
    return NumberedLoader(built, endless, runner.seed)


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

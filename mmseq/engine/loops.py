"""Training loops whose batches have numbers, so that a resume takes the next one without loading those before it.

Upstream's loops do the training. What is added is a loader that knows the number of every batch: the samples of the
batches that are skipped are never read, only their indices are drawn, and the random numbers of a sample are a
function of the number (`mmseq.engine.hooks.RandomStreamsHook`).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.dist import all_gather, get_world_size
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner
from torch.utils.data import BatchSampler, DataLoader, IterableDataset

from mmseq.errors import InputError
from mmseq.registry import LOOPS

# Name in the message hub, and so in every checkpoint: epoch, batches of it that are done, batches it has.
PROGRESS = 'epoch_progress'


class NumberedBatch(list):
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


class NumberedLoader(DataLoader):
    """A loader like another one, of numbered batches; workers start when the first batch is asked for."""

    def __init__(self, loader: DataLoader, endless: bool) -> None:
        super().__init__(
            loader.dataset,
            batch_sampler=NumberedBatches(loader.batch_sampler, endless),
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

    def __iter__(self) -> Iterator[Any]:
        yield from super().__iter__()


def build_loader(runner: Runner, dataloader: DataLoader | dict, endless: bool) -> DataLoader:
    """The training loader with numbered batches; streams of data without indices stay as they are."""
    if isinstance(dataloader, dict):
        diff_rank_seed = runner._randomness_cfg.get('diff_rank_seed', False)
        dataloader = runner.build_dataloader(dataloader, seed=runner.seed, diff_rank_seed=diff_rank_seed)
    if dataloader.batch_sampler is None or isinstance(dataloader.dataset, IterableDataset):
        return dataloader
    return NumberedLoader(dataloader, endless)


@LOOPS.register_module()
class IterLoop(IterBasedTrainLoop):
    """mmengine's loop by iterations, which resumes at once and needs no infinite sampler."""

    def __init__(
        self,
        runner: Runner,
        dataloader: DataLoader | dict,
        max_iters: int,
        val_begin: int = 1,
        val_interval: int = 1000,
        dynamic_intervals: list[tuple[int, int]] | None = None,
    ) -> None:
        loader = build_loader(runner, dataloader, endless=True)
        super().__init__(runner, loader, max_iters, val_begin, val_interval, dynamic_intervals)

    def run(self) -> torch.nn.Module:
        """Train from the iteration that was resumed, or from the first."""
        if isinstance(self.dataloader, NumberedLoader):
            self.dataloader.batch_sampler.skip = self._iter
            self.dataloader_iterator = _Skipped(self.dataloader, self._iter)
        return super().run()


class _Skipped:
    """Answers the calls by which upstream's loop skips with nothing, and those after them with batches."""

    def __init__(self, loader: DataLoader, calls: int) -> None:
        self._batches = iter(loader)
        self._calls = calls

    def __next__(self) -> Any:
        if self._calls:
            self._calls -= 1
            return None
        return next(self._batches)


@LOOPS.register_module()
class EpochLoop(EpochBasedTrainLoop):
    """mmengine's loop by epochs, which also resumes in the middle of one."""

    def __init__(
        self,
        runner: Runner,
        dataloader: DataLoader | dict,
        max_epochs: int,
        val_begin: int = 1,
        val_interval: int = 1,
        dynamic_intervals: list[tuple[int, int]] | None = None,
    ) -> None:
        loader = build_loader(runner, dataloader, endless=False)
        super().__init__(runner, loader, max_epochs, val_begin, val_interval, dynamic_intervals)
        self._done = 0

    def run(self) -> torch.nn.Module:
        """Train from where the checkpoint was written, or from the beginning."""
        batches = len(self.dataloader)
        check_equal_lengths(batches)
        progress = self.runner.message_hub.runtime_info.get(PROGRESS)
        if progress and progress[0] == self._epoch and isinstance(self.dataloader, NumberedLoader):
            self._done = progress[1]
            if progress[2] != batches:
                raise InputError(
                    f'the checkpoint is from batch {progress[1]} of {progress[2]} of an epoch that now has {batches}: '
                    'use the batch size and the number of processes that it was written with, or a checkpoint from '
                    'the end of an epoch'
                )
        return super().run()

    def run_epoch(self) -> None:
        """Train one epoch, or the rest of it."""
        if isinstance(self.dataloader, NumberedLoader):
            self.dataloader.batch_sampler.first = self._iter - self._done
            self.dataloader.batch_sampler.skip = self._done
        super().run_epoch()
        self._done = 0

    def run_iter(self, idx: int, data_batch: Sequence[dict]) -> None:
        """Train one batch, counted from the beginning of the epoch."""
        idx += self._done
        self.runner.message_hub.update_info(PROGRESS, [self._epoch, idx + 1, len(self.dataloader)])
        super().run_iter(idx, data_batch)


def check_equal_lengths(batches: int) -> None:
    """Refuse an epoch of which some process has more batches: it would wait for the others for ever.

    Raises:
        InputError: it names the processes that differ.
    """
    if get_world_size() == 1:
        return
    device = 'cuda' if torch.distributed.get_backend() == 'nccl' else 'cpu'
    lengths = [int(length) for length in all_gather(torch.tensor(batches, device=device))]
    if len(set(lengths)) > 1:
        listed = ', '.join(f'process {rank}: {length}' for rank, length in enumerate(lengths))
        raise InputError(
            f'train_dataloader: the processes have different numbers of batches ({listed}), and training would hang; '
            'set train_dataloader.sampler.round_up=True'
        )

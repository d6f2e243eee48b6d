"""Training loops that resume with the very next batch.

Upstream's loops do the training; `mmseq.engine.loader` gives every batch a number.
"""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.dist import all_gather, get_world_size
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner
from torch.utils.data import DataLoader

from mmseq.engine.loader import NumberedLoader, build_loader
from mmseq.errors import InputError
from mmseq.registry import LOOPS

# Name in the message hub, and so in every checkpoint: epoch, batches of it that are done, batches it has.
PROGRESS = 'epoch_progress'


@LOOPS.register_module()
class IterLoop(IterBasedTrainLoop):
    """mmengine's loop by iterations, which resumes at once and needs no infinite sampler."""

    def __init__(
        self,
        runner: Runner,
        dataloader: DataLoader[Any] | dict[str, Any],
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
            # A checkpoint may have brought another one.
            self.dataloader.dataset.seed = self.runner.seed
            self.dataloader.batch_sampler.skip = self._iter
            self.dataloader_iterator = _Skipped(self.dataloader, self._iter)
        return super().run()


class _Skipped:
    """Answers the calls by which upstream's loop skips with nothing, and those after them with batches."""

    def __init__(self, loader: DataLoader[Any], calls: int) -> None:
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
        dataloader: DataLoader[Any] | dict[str, Any],
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
            # A checkpoint may have brought another one.
            self.dataloader.dataset.seed = self.runner.seed
            self.dataloader.batch_sampler.first = self._iter - self._done
            self.dataloader.batch_sampler.skip = self._done
        super().run_epoch()
        self._done = 0

    def run_iter(self, idx: int, data_batch: Sequence[dict[str, Any]]) -> None:
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

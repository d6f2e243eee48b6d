"""Says when the training waits for its data."""

import os
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmseq.registry import HOOKS


@HOOKS.register_module()
class LoaderShareHook(Hook):
    """Warn once an interval if waiting for the loader takes more than a share of the time.

    It adds up what mmengine's IterTimerHook measures (`data_time` and `time`) in this process. The first iteration of
    a run, which starts the workers, is left out.

    Args:
        max_share: share of the time that is no matter.
        interval: iterations that are looked at together.
    """

    # after the timer, which is NORMAL
    priority = 'BELOW_NORMAL'

    def __init__(self, max_share: float = 0.2, interval: int = 200) -> None:
        self.max_share = max_share
        self.interval = interval

    def before_train(self, runner: Runner) -> None:
        """Start anew."""
        self._first = True
        self._waited = self._took = 0.0
        self._count = 0

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        """Add up, and judge an interval at its end."""
        if self._first:
            self._first = False
            return
        self._waited += runner.message_hub.get_scalar('train/data_time').current()
        self._took += runner.message_hub.get_scalar('train/time').current()
        self._count += 1
        if self._count < self.interval:
            return
        share = self._waited / self._took if self._took else 0.0
        if share > self.max_share:
            runner.logger.warning(
                f'the loader is the bottleneck: {share:.0%} of the last {self._count} iterations was waiting for data '
                f'({self._waited / self._count:.3f} of {self._took / self._count:.3f} s each); {advice(runner)}'
            )
        self._waited = self._took = 0.0
        self._count = 0


def advice(runner: Runner) -> str:
    """What to do about a slow loader, from how it is set."""
    loader = runner.train_dataloader
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
    steps = []
    if loader.num_workers == 0:
        steps.append(f'load in workers: train_dataloader.num_workers=4, persistent_workers=True ({cores} cores)')
    elif loader.num_workers < cores:
        steps.append(f'raise train_dataloader.num_workers (now {loader.num_workers}, {cores} cores)')
    if loader.num_workers and not loader.persistent_workers:
        steps.append('set train_dataloader.persistent_workers=True')
    steps.append('store the images smaller or on a faster disk')
    return '; '.join(steps)

"""A run goes on from where its work dir says that it begins."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mmengine.config import Config
from mmengine.dist import broadcast_object_list
from mmengine.runner import Runner

from mmseq.engine.hooks.run_record import RunRecordHook
from mmseq.engine.settings import Settings
from mmseq.engine.work_dir import Start, claimed, place_of
from mmseq.ranks import is_first_process


@contextmanager
def beginning(cfg: Config, settings: Settings) -> Iterator[Start | None]:
    """Hold the work dir of a training for the length of the block.

    Yields:
        How the run begins; None in all processes but the first, which learn it in `begin`.

    Raises:
        InputError: in the first process, as `mmseq.engine.work_dir.claimed`.
    """
    if not is_first_process():
        yield None
        return
    with claimed(place_of(cfg), settings.resume, settings.anew, settings.may_begin) as start:
        yield start


def begin(runner: Runner, start: Start | None, seed: int | None) -> None:
    """Tell a runner, in all processes, how the run begins.

    Args:
        runner: of the training.
        start: what `beginning` gave.
        seed: that was asked for on the command line.
    """
    shared: list[Any] = [start]
    # Processes may not see the same files.
    broadcast_object_list(shared)
    for hook in runner.hooks:
        if isinstance(hook, RunRecordHook):
            hook.run, hook.seed = shared[0].run, seed
    if checkpoint := shared[0].checkpoint:
        runner.logger.info(f'resuming from {checkpoint}, which is whole')
        runner._load_from, runner._resume = str(checkpoint), True

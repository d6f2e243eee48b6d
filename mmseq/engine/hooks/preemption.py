"""A run that is preempted saves at the next iteration and ends."""

import signal
from typing import Any

import torch
from mmengine.dist import all_reduce, barrier
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmseq.engine.hooks.checkpoint import SafeCheckpointHook
from mmseq.registry import HOOKS

# EX_TEMPFAIL of sysexits.h: nothing is wrong, run it again.
EXIT_STATUS = 75


@HOOKS.register_module()
class PreemptionHook(Hook):
    """On SIGUSR1 save after the iteration that runs, in all processes at the same one, and exit with status 75.

    Slurm sends the signal some time before it takes the nodes away (``--signal``); tools/slurm_train.sh puts a job
    that ends with 75 back into the queue. Without distributed training a signal to the process does the same.
    """

    # after the checkpoint hook, which may be saving the same iteration
    priority = 'LOWEST'

    def __init__(self) -> None:
        self._asked = False
        self._before: Any = None

    def before_train(self, runner: Runner) -> None:
        """Listen; in a thread that is not the main one Python cannot."""
        try:
            self._before = signal.signal(signal.SIGUSR1, self._note)
        except ValueError:
            runner.logger.warning('training does not run in the main thread: SIGUSR1 will not be listened to')

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        """Save and end if any process was asked to."""
        # mmengine reads the loss of every iteration, so there is a synchronisation at this point already.
        asked = torch.tensor(int(self._asked), device=_device())
        all_reduce(asked, op='max')
        if not asked.item():
            return
        hook = next((hook for hook in runner.hooks if isinstance(hook, SafeCheckpointHook)), None)
        if hook is None:
            runner.logger.warning('SIGUSR1, and no mmseq.SafeCheckpointHook to save with: the run goes on')
            self._asked = False
            return
        path = hook.save_now(runner)
        runner.logger.info(f'SIGUSR1: saved {path} after iteration {runner.iter + 1}; exit with status {EXIT_STATUS}')
        # The first process writes; launchers end all processes of a run when the first of them ends.
        barrier()
        raise SystemExit(EXIT_STATUS)

    def after_train(self, runner: Runner) -> None:
        """Stop listening."""
        if self._before is not None:
            signal.signal(signal.SIGUSR1, self._before)

    def _note(self, number: int, frame: Any) -> None:
        self._asked = True


def _device() -> str:
    nccl = torch.distributed.is_initialized() and torch.distributed.get_backend() == 'nccl'
    return 'cuda' if nccl else 'cpu'

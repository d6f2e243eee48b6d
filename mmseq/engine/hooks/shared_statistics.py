"""Every process evaluates with the statistics that the checkpoint holds."""

from mmengine.dist import broadcast
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmseq.registry import HOOKS


@HOOKS.register_module()
class SharedStatisticsHook(Hook):
    """Gives all processes the first one's buffers before an evaluation.

    Where SyncBN had to become BN, each process gathers running statistics of its own images; the first one's are saved.
    Training itself does not read them, so no loss depends on it.
    """

    def before_val(self, runner: Runner) -> None:
        """Broadcast the buffers from the first process; nothing happens where there is only one."""
        for buffer in runner.model.buffers():
            broadcast(buffer, src=0)

"""Gives memory back before a machine without a GPU runs out of it."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmseq.compat.allocator import release_if_short
from mmseq.registry import HOOKS


@HOOKS.register_module()
class KeptMemoryHook(Hook):
    """End :func:`mmseq.compat.allocator.keep_memory` for good once memory is short, with a warning.

    A process that keeps its memory holds more of it where images differ in size; where memory is short it runs slower
    instead of being killed.
    """

    def _after_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None, mode: str = 'train'
    ) -> None:
        """Look after every iteration of any kind."""
        if release_if_short():
            runner.logger.warning(
                'memory is short: large tensors are given back to the system after use from now on, which is slower; '
                'smaller batches or images would need less'
            )

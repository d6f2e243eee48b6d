"""Gives memory back before a machine without a GPU runs out of it."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmseq.compat.allocator import is_short, release_memory
from mmseq.registry import HOOKS


@HOOKS.register_module()
class KeptMemoryHook(Hook):
    """End :func:`mmseq.compat.allocator.keep_memory` for good once the room gets narrow, and say so.

    A process that keeps its memory holds more of it where images differ in size; without room for that it runs slower
    instead of being killed.
    """

    def __init__(self) -> None:
        self._kept = True

    def _after_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None, mode: str = 'train'
    ) -> None:
        """Look after every iteration of any kind."""
        if self._kept and is_short():
            release_memory()
            self._kept = False
            runner.logger.warning(
                'memory is short: large tensors are given back to the system after use from now on, which is slower; '
                'smaller batches or images would need less'
            )

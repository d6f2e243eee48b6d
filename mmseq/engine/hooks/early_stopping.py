"""mmengine's early stopping, whose count survives a resume."""

from typing import Any

from mmengine.hooks import EarlyStoppingHook as Upstream
from mmengine.runner import Runner

from mmseq.registry import HOOKS

STATE = 'mmseq_early_stopping'


@HOOKS.register_module(name='EarlyStoppingHook')
class EarlyStoppingHook(Upstream):
    """Ends a run after ``patience`` evaluations without a better one, also when it was resumed in between.

    mmengine's hook begins to count anew with every process; this one keeps its best figure and its count in the
    checkpoints. Arguments are those of :class:`mmengine.hooks.EarlyStoppingHook`.
    """

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Keep the best figure and the evaluations since."""
        checkpoint['meta'][STATE] = dict(monitor=self.monitor, best=self.best_score, count=self.wait_count)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Go on from there in a resumed run, if the figure is the same."""
        state = checkpoint['meta'].get(STATE)
        if runner._resume and state and state['monitor'] == self.monitor:
            self.best_score, self.wait_count = state['best'], state['count']

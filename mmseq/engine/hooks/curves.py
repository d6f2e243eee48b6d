"""The training curves as a picture, kept up to date while training."""

from pathlib import Path
from typing import TYPE_CHECKING

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmseq.errors import InputError
from mmseq.registry import HOOKS

if TYPE_CHECKING:
    from mmseq.pictures.curves import Curves


@HOOKS.register_module()
class CurvesHook(Hook):
    """Draw ``curves.png`` in the work dir after every validation, and at the end of training what came after the last.

    A picture takes about a second.
    """

    # after the logger, whose file is read
    priority = 'LOW'

    def __init__(self) -> None:
        self._drawn: Curves | None = None

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Draw the training so far; a run that only validates has no curve."""
        if not (runner._train_loop is None or isinstance(runner._train_loop, dict)):
            self._draw(runner)

    def after_train(self, runner: Runner) -> None:
        """Draw the whole training."""
        self._draw(runner)

    @master_only
    def _draw(self, runner: Runner) -> None:
        # matplotlib is loaded only in runs that draw
        from mmseq.pictures.curves import plot_curves, read_curves

        try:
            curves = read_curves(runner.work_dir)
        except InputError as error:
            # a run shorter than the logging interval has nothing to draw, which is no reason to fail
            runner.logger.info(f'no curves: {error}')
            return
        if curves != self._drawn:
            self._drawn = curves
            runner.logger.info(f'curves: {plot_curves(Path(runner.work_dir))}')

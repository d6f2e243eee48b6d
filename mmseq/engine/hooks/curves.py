"""The training curves as a picture, kept up to date while training."""

from pathlib import Path

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmseq.errors import InputError
from mmseq.registry import HOOKS


@HOOKS.register_module()
class CurvesHook(Hook):
    """Draw ``curves.png`` in the work dir after every validation and at the end of training."""

    # after the logger, whose file is read
    priority = 'LOW'

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
        from mmseq.pictures.curves import plot_curves

        try:
            path = plot_curves(Path(runner.work_dir))
        except InputError as error:
            # a run shorter than the logging interval has nothing to draw, which is no reason to fail
            runner.logger.info(f'no curves: {error}')
        else:
            runner.logger.info(f'curves: {path}')

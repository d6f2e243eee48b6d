"""What a run shows on the terminal: its head, progress, evaluations."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from mmengine.hooks import Hook, LoggerHook
from mmengine.runner import IterBasedTrainLoop, Runner

from mmseq.engine import account
from mmseq.engine.terminal import Terminal


class HeadHook(Hook):
    """Shows what is about to happen, once the weights are loaded and before anything is computed.

    Args:
        terminal: of the run.
    """

    priority = 'VERY_HIGH'

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal

    def before_train(self, runner: Runner) -> None:
        """Show the head of a training."""
        self._show('training', runner)

    def before_test(self, runner: Runner) -> None:
        """Show the head of an evaluation."""
        self._show('evaluation', runner)

    def _show(self, what: Literal['training', 'evaluation'], runner: Runner) -> None:
        for line in account.head(what, runner, self.terminal.weights or ()):
            self.terminal.say(line)
        self.terminal.weights = None


class ProgressHook(Hook):
    """Shows how far a run is, with loss, time left and memory, and the figures of each evaluation.

    Args:
        terminal: of the run.

    Attributes:
        metrics: of the latest evaluation.
    """

    # After those that look at an iteration or an evaluation.
    priority = 'LOWEST'

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        self.metrics: Mapping[str, float] = {}
        self._interval = 1
        self._first = 0
        self._began = self._evaluating = self._evaluation_began = 0.0

    def before_train(self, runner: Runner) -> None:
        """Begin to count the time."""
        intervals = [hook.interval for hook in runner.hooks if isinstance(hook, LoggerHook)]
        self._interval, self._first = (intervals or [50])[0], runner.iter
        self._began, self._evaluating = time.monotonic(), 0.0

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Mapping[str, Any] | None = None
    ) -> None:
        """Show an iteration; where lines are kept, the first, one of each logging interval, and the last."""
        done, total = runner.iter + 1, runner.max_iters
        due = done in (self._first + 1, total) or done % self._interval == 0
        self.terminal.progress('iteration', done, total, lambda: self._text(runner, done, total), due)

    def _text(self, runner: Runner, done: int, total: int) -> str:
        taken = time.monotonic() - self._began - self._evaluating
        left = account.duration(taken / (done - self._first) * (total - done))
        # Upstream has read it from the device: reading the tensor would wait once more.
        values = runner.message_hub.log_scalars.get('train/loss')
        loss = f'loss {float(values.current()):.4g}' if values else ''
        epoch = '' if isinstance(runner.train_loop, IterBasedTrainLoop) else f'epoch {runner.epoch + 1}'
        return '  '.join(filter(None, (epoch, loss, f'{left} left', account.memory())))

    def before_val(self, runner: Runner) -> None:
        """Count the time of the evaluation apart."""
        self._evaluation_began = time.monotonic()

    def before_test(self, runner: Runner) -> None:
        """Count the time."""
        self._evaluation_began = time.monotonic()

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Sequence[Any] | None = None
    ) -> None:
        """Show how far the evaluation is."""
        self._show_batch(batch_idx + 1, len(runner.val_dataloader))

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Sequence[Any] | None = None
    ) -> None:
        """Show how far the evaluation is."""
        self._show_batch(batch_idx + 1, len(runner.test_dataloader))

    def _show_batch(self, done: int, total: int) -> None:
        taken = time.monotonic() - self._evaluation_began
        left = account.duration(taken / done * (total - done))
        self.terminal.progress('evaluation', done, total, lambda: f'{left} left')

    def after_val_epoch(self, runner: Runner, metrics: Mapping[str, float] | None = None) -> None:
        """Show the figures, and where in the training they are from."""
        self._show_figures(f'evaluation after iteration {runner.iter}', metrics or {})

    def after_test_epoch(self, runner: Runner, metrics: Mapping[str, float] | None = None) -> None:
        """Show the figures."""
        self._show_figures('evaluation', metrics or {})

    def _show_figures(self, title: str, metrics: Mapping[str, float]) -> None:
        taken = time.monotonic() - self._evaluation_began
        self._evaluating += taken
        self.metrics = metrics
        self.terminal.clear()
        for line in [f'{title}, {account.duration(taken)}', *account.table(metrics)]:
            self.terminal.say(line)

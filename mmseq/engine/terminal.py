"""What a run shows on the terminal: what a person reads. Everything else is in the log file alone.

Upstream logs through mmengine's `MMLogger`, to the terminal and to a file alike. `shown` puts a handler of our own in
the place of the terminal's, for as long as a run takes. What upstream's packages log and warn of goes to the file,
except errors; what anybody else logs, a user's own hook or metric as well, is shown.
"""

import contextlib
import itertools
import logging
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

from mmengine.dist import broadcast_object_list
from mmengine.logging import MMLogger
from mmengine.logging.logger import FilterDuplicateWarning
from mmengine.runner import Runner
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from mmseq.compat.upstream_prints import upstream_prints
from mmseq.engine.timestamp import free_timestamp
from mmseq.ranks import is_first_process

UPSTREAM = ('mmengine', 'mmcv', 'mmdet', 'mmseg', 'pycocotools')
# Modules through which a line passes on its way from the one that says it.
_BETWEEN = ('logging', 'mmengine.logging', 'mmseq.engine.terminal', 'mmseq.compat.upstream_prints')
# Of a record that is for the file, whoever says it.
_FOR_FILE = {'for_file': True}
# What these of ours log, below a warning, is for the file: the head of a run has it in short, or nobody waits for it.
DETAILS = (
    'mmseq.config',
    'mmseq.engine.hooks.recipe',
    'mmseq.engine.hooks.curves',
    'mmseq.engine.hooks.corrupt_data',
)
# What these log before the head of a run is its row of weights.
WEIGHTS = ('mmseq.backbones.base', 'mmseq.compat.pretrained_init', 'mmseq.engine.hooks.strict_load')
# Seconds between two pictures of the line of progress, and, where lines are kept, between two of them at most.
REFRESH = 0.2
PATIENCE = 60.0
_LOGGERS = itertools.count()
# Those that stand in for mmengine's, the innermost last.
_STANDING_IN: 'list[Terminal]' = []


class _Console(Console):
    """Goes on in silence where nobody reads any more; rich's own ends the process."""

    def on_broken_pipe(self) -> None:
        """Print no more."""
        self.quiet = True


class Terminal:
    """The terminal of a run: lines, and one line of progress that is overwritten.

    Args:
        verbose: everything that is logged is shown, too, as mmengine shows it.
    """

    def __init__(self, verbose: bool = False) -> None:
        self.verbose = verbose
        # Lines as long as they are: the terminal folds them, and a file keeps them whole.
        self.console = _Console(force_jupyter=False, soft_wrap=True, markup=False, highlight=False, emoji=False)
        self.updating = self.console.is_terminal and not self.console.is_dumb_terminal and not verbose
        self.weights: list[str] | None = []
        self.held: list[logging.LogRecord] = []
        self._progress: Progress | None = None
        self._task = TaskID(0)
        self._told = time.monotonic()

    def say(self, text: str, style: str | None = None) -> None:
        """Print lines, in the first process; above the line of progress."""
        if is_first_process():
            self._print(text, style)

    def _print(self, text: str, style: str | None) -> None:
        with self._surviving():
            self.console.print(text, style=style)

    @contextlib.contextmanager
    def _surviving(self) -> Iterator[None]:
        """A terminal that is gone is no reason to end a training, whose log file goes on."""
        try:
            yield
        except OSError:
            self.console.quiet = True

    def progress(self, what: str, done: int, total: int, text: Callable[[], str], due: bool = False) -> None:
        """Show how far something is.

        Args:
            what: is counted.
            done: of it.
            total: of it.
            text: gives the words beside it; called only where they are shown.
            due: where lines are kept, this is one of them; another comes if none has for a minute.
        """
        now = time.monotonic()
        if self.verbose or not is_first_process() or self.console.quiet:
            return
        if not self.updating:
            if due or now - self._told > PATIENCE:
                self._told = now
                self.say(f'{what} {done}/{total}  {text()}')
        elif due or now - self._told > REFRESH or self._progress is None:
            self._told = now
            with self._surviving():
                self._draw(what, done, total, text())

    def _draw(self, what: str, done: int, total: int, text: str) -> None:
        if self._progress is None:
            numbers, beside = MofNCompleteColumn(), TextColumn('{task.fields[text]}')
            columns = (TextColumn('{task.description}'), BarColumn(), numbers, beside)
            # No thread of its own, whose lock a forked worker of the loader would inherit.
            self._progress = Progress(*columns, console=self.console, auto_refresh=False, transient=True)
            self._task = self._progress.add_task(what, total=total, completed=done, text=text)
            self._progress.start()
            # A run that is killed would leave the terminal without one.
            self.console.show_cursor(True)
        self._progress.update(self._task, description=what, completed=done, total=total, text=text)
        self._progress.refresh()

    def clear(self) -> None:
        """Take the line of progress away."""
        if self._progress is not None:
            with self._surviving():
                self._progress.stop()
            self._progress = None
        self._told = time.monotonic()

    def logged(self, record: logging.LogRecord) -> None:
        """Show a record of the log, unless it is for the file alone; an error is shown by every process."""
        source = source_of(sys._getframe(1))
        if not is_shown(record, source):
            return
        text = record.getMessage()
        if record.levelno >= logging.ERROR:
            self._print(f'error: {text}', 'red')
        elif record.levelno >= logging.WARNING:
            self.say(f'warning: {text}', 'yellow')
        elif self.weights is not None and source in WEIGHTS:
            self.weights.append(text)
        else:
            self.say(text)

    def printed(self, text: str) -> None:
        """Show a printed line, unless an upstream package prints it: that is for the file."""
        if within(source_of(sys._getframe(1)), UPSTREAM):
            to_file(text)
        else:
            self.say(text)

    def take_over(self, logger: MMLogger) -> None:
        """Stand in for the terminal's handler of a logger; what was logged before there was a file goes to its file."""
        if self.verbose:
            return
        files = [handler for handler in logger.handlers if not is_of_terminal(handler)]
        for handler, record in itertools.product(files, self.held):
            if record.levelno >= handler.level:
                handler.handle(record)
        levels = [handler.level for handler in logger.handlers if is_of_terminal(handler)]
        logger.handlers[:] = [*files, *(_Handler(self, level, keeps=not files) for level in levels)]
        if files:
            self.held.clear()


class _Handler(logging.Handler):
    """The terminal of a logger."""

    def __init__(self, terminal: Terminal, level: int, keeps: bool) -> None:
        super().__init__(level)
        self.terminal = terminal
        self.keeps = keeps
        self.addFilter(FilterDuplicateWarning())

    def emit(self, record: logging.LogRecord) -> None:
        """Show a record, and keep it for a file that is not there yet."""
        if self.keeps:
            self.terminal.held.append(record)
        self.terminal.logged(record)


def is_of_terminal(handler: logging.Handler) -> bool:
    """Whether it prints."""
    return type(handler) in (logging.StreamHandler, _Handler)


def source_of(frame: FrameType | None) -> str:
    """The module that says something, given where it arrives."""
    while frame and within(frame.f_globals.get('__name__', ''), _BETWEEN):
        frame = frame.f_back
    return frame.f_globals.get('__name__', '') if frame else ''


def within(module: str, packages: tuple[str, ...]) -> bool:
    """Whether a module is one of these packages or in one."""
    return any(module == package or module.startswith(f'{package}.') for package in packages)


def is_shown(record: logging.LogRecord, source: str) -> bool:
    """Whether a person has to read it."""
    if record.levelno >= logging.ERROR:
        return True
    if within(source, UPSTREAM) or hasattr(record, 'for_file'):
        return False
    return record.levelno >= logging.WARNING or not within(source, DETAILS)


def is_of_upstream(filename: str) -> bool:
    """Whether a source file belongs to an upstream package."""
    folders = [Path(folder) for name in UPSTREAM for folder in getattr(sys.modules.get(name), '__path__', ())]
    return any(Path(filename).is_relative_to(folder) for folder in folders)


@contextlib.contextmanager
def shown(verbose: bool = False) -> Iterator[Terminal]:
    """Show a run as a person reads it; loggers and warnings are as they were afterwards.

    Args:
        verbose: show what is logged as well, as mmengine does.
    """
    terminal = Terminal(verbose)
    with contextlib.ExitStack() as stack:
        if not verbose:
            stack.enter_context(_quiet(terminal))
        stack.callback(terminal.clear)
        yield terminal


@contextlib.contextmanager
def _quiet(terminal: Terminal) -> Iterator[None]:
    # A new one: the present one may write into the log of an earlier run of this process.
    terminal.take_over(MMLogger.get_instance(f'mmseq_{next(_LOGGERS)}', logger_name='mmengine'))
    before = warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if is_of_upstream(filename):
            to_file(warnings.formatwarning(message, category, filename, lineno, '').strip(), logging.WARNING)
        else:
            before(message, category, filename, lineno, file, line)

    warnings.showwarning = show
    _STANDING_IN.append(terminal)
    try:
        with upstream_prints(terminal.printed):
            yield
    finally:
        warnings.showwarning = before
        _STANDING_IN.remove(terminal)
        for logger in MMLogger._instance_dict.values():
            give_back(logger, terminal)


def to_file(text: str, level: int = logging.INFO) -> None:
    """Log something for the file alone."""
    MMLogger.get_current_instance().log(level, text, extra=_FOR_FILE)


def give_back(logger: MMLogger, terminal: Terminal) -> None:
    """A logger of a terminal prints again as mmengine's do, or through the terminal around this one."""
    taken = [one for one in logger.handlers if isinstance(one, _Handler) and one.terminal is terminal]
    for handler in taken:
        if _STANDING_IN:
            handler.terminal = _STANDING_IN[-1]
            continue
        fresh = MMLogger(f'{logger.instance_name}_terminal', logger_name='mmengine').handlers[0]
        fresh.setLevel(handler.level)
        logger.handlers[logger.handlers.index(handler)] = fresh


class ShownRunner(Runner):
    """A runner whose log is shown by the terminal of the run.

    Attributes:
        terminal: set on the class of one run, by :func:`runner_class`: mmengine's constructor logs already.
    """

    terminal: Terminal

    def setup_env(self, env_cfg: dict[str, Any]) -> None:
        """What mmengine sets up, and a timestamp that no other run has."""
        super().setup_env(env_cfg)
        found = [free_timestamp(self.timestamp, self._work_dir) if is_first_process() else '']
        broadcast_object_list(found)
        self._timestamp: str = found[0]

    def build_logger(self, log_level: int | str = 'INFO', log_file: str | None = None, **options: Any) -> MMLogger:
        """The logger, as mmengine makes it, with our terminal."""
        logger = super().build_logger(log_level, log_file, **options)
        self.terminal.take_over(logger)
        return logger


def runner_class(terminal: Terminal) -> type[Runner]:
    """The class of the runner of one run."""
    return type('Runner', (ShownRunner,), {'terminal': terminal})

"""What a run prints: a person's lines; everything is in the log file, and what matters is never hidden."""

import logging
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mmdet
import pytest
from mmengine.logging import MMLogger, print_log

from mmseq.engine.terminal import Terminal, shown
from tests.nursery import Nursery

TOY = Path(__file__).parents[1] / 'faults' / 'configs' / 'toy.py'
# As much as is read before something happens.
LINES = 15


def train(nursery: Nursery, folder: Path, *options: Any) -> list[str]:
    command = [TOY, '--no-data-check', '--work-dir', folder / 'run', *options]
    common = ['--cfg-options', 'train_cfg.max_iters=12', 'default_hooks.logger.interval=5']
    return nursery.run(*command, *common, log=folder / 'log').splitlines()


def say_as(module: str, say: Callable[..., Any], *arguments: Any) -> None:
    """Call a function as code of a module would."""
    exec('say(*arguments)', {'__name__': module, 'say': say, 'arguments': arguments})


@pytest.fixture
def logger(tmp_path: Path) -> Iterator[MMLogger]:
    """The logger of a run, with its file."""
    with shown() as terminal:
        found = MMLogger.get_instance(str(tmp_path), logger_name='mmengine', log_file=str(tmp_path / 'log'))
        terminal.take_over(found)
        yield found


def test_what_a_training_prints(nursery: Nursery, tmp_path: Path) -> None:
    lines = train(nursery, tmp_path)
    first = next(number for number, line in enumerate(lines) if 'loss' in line)
    assert first <= LINES
    head = '\n'.join(lines[:first])
    for text in (
        'training of toy',
        'Toy, 97 parameters',
        'train 10 images',
        '1 class: a',
        'effective batch 2 (2 images',
    ):
        assert text in head
    assert 'AdamW, peak learning rate 0.01' in head
    assert '12 iterations, evaluated every 8 iterations' in head
    progress = [line.split()[1] for line in lines if line.startswith('iteration')]
    assert progress == ['1/12', '5/12', '10/12', '12/12']
    assert 'evaluation after iteration 8' in '\n'.join(lines)
    assert lines[-3].startswith('done in')
    assert lines[-1].startswith(f'  files     {tmp_path / "run"}: best_score_iter_')
    log = next((tmp_path / 'run').glob('*/*.log')).read_text()
    assert not {'Config:', 'Hooks will be executed', 'System environment', 'what is trained'} & {*lines}
    assert all(text in log for text in ('Config:', 'Hooks will be executed', 'System environment', 'what is trained'))
    assert not any('mmengine - INFO' in line for line in lines)


def test_verbose_prints_the_log(nursery: Nursery, tmp_path: Path) -> None:
    text = '\n'.join(train(nursery, tmp_path, '--verbose'))
    for part in ('Config:', 'Hooks will be executed', 'what is trained', 'training of toy', 'done in'):
        assert part in text
    # The log has the progress.
    assert '\niteration 5/12' not in text
    assert 'Iter(train) [ 5/12]' in text


def test_what_is_logged_is_shown_by_who_logs_it(logger: MMLogger, capsys: pytest.CaptureFixture[str]) -> None:
    for module in ('mmdet.models.heads', 'my_hooks', 'mmseq.engine.hooks.curves'):
        for level in (logging.INFO, logging.WARNING, logging.ERROR):
            say_as(module, logger.log, level, f'{module} {level}')
            say_as(module, print_log, f'{module} {level} again', 'current', level)
    found = [line for line in capsys.readouterr().out.splitlines() if 'again' not in line]
    assert found == [
        'error: mmdet.models.heads 40',
        'my_hooks 20',
        'warning: my_hooks 30',
        'error: my_hooks 40',
        'warning: mmseq.engine.hooks.curves 30',
        'error: mmseq.engine.hooks.curves 40',
    ]
    assert Path(logger.log_file).read_text().count('mmdet.models.heads') == 6


def test_print_log_is_said_by_its_caller(logger: MMLogger, capsys: pytest.CaptureFixture[str]) -> None:
    say_as('mmseg.datasets', print_log, 'theirs', 'current')
    say_as('my_hooks', print_log, 'mine', 'current')
    # mmengine prints without a logger.
    say_as('mmengine.runner.checkpoint', print_log, 'theirs printed')
    say_as('my_hooks', print_log, 'mine printed')
    assert capsys.readouterr().out.splitlines() == ['mine', 'mine printed']
    log = Path(logger.log_file).read_text()
    assert 'theirs\n' in log
    assert 'theirs printed' in log


def test_warnings_of_upstream_are_in_the_file(recwarn: pytest.WarningsRecorder, logger: MMLogger) -> None:
    warnings.warn_explicit('theirs', UserWarning, str(Path(mmdet.__file__).parent / 'a.py'), 1)
    warnings.warn_explicit('mine', UserWarning, 'mine.py', 1)
    assert [str(one.message) for one in recwarn] == ['mine']
    assert 'UserWarning: theirs' in Path(logger.log_file).read_text()


def test_lines_before_there_is_a_file_are_in_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with shown() as terminal:
        say_as('mmseq.config', print_log, 'a detail', 'current')
        say_as('my_data', print_log, 'mine', 'current')
        logger = MMLogger.get_instance(str(tmp_path), logger_name='mmengine', log_file=str(tmp_path / 'log'))
        terminal.take_over(logger)
    assert capsys.readouterr().out == 'mine\n'
    log = (tmp_path / 'log').read_text()
    assert log.index('a detail') < log.index('mine')


def test_other_processes_print_errors_alone(
    logger: MMLogger, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('RANK', '1')
    terminal = Terminal()
    terminal.say('a line')
    terminal.progress('iteration', 1, 2, lambda: pytest.fail('asked'), due=True)
    say_as('my_hooks', logger.warning, 'a warning')
    say_as('my_hooks', logger.error, 'an error')
    assert capsys.readouterr().out == 'error: an error\n'


def test_loggers_print_again_afterwards(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = warnings.showwarning
    with shown() as terminal:
        logger = MMLogger.get_instance(str(tmp_path), logger_name='mmengine', log_file=str(tmp_path / 'log'))
        terminal.take_over(logger)
    say_as('mmdet', logger.info, 'theirs')
    assert 'mmengine - ' in (line := capsys.readouterr().out)
    assert line.endswith(' - theirs\n')
    assert warnings.showwarning is before


def test_nobody_reads_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    monkeypatch.setattr('sys.stdout', os.fdopen(writer, 'w'))
    terminal = Terminal()
    terminal.say('a line')
    assert terminal.console.quiet
    terminal.progress('iteration', 1, 2, lambda: pytest.fail('asked'), due=True)


def test_one_line_is_updated_on_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('TTY_COMPATIBLE', '1')
    monkeypatch.setenv('TERM', 'xterm')
    terminal = Terminal()
    for done in (1, 2):
        terminal.progress('iteration', done, 2, lambda: 'loss 0.5', due=True)
    assert 'loss 0.5' in (written := capsys.readouterr().out)
    assert '2/2' in written
    assert '\n' not in written
    terminal.clear()
    # The cursor goes back to the line, which is erased.
    assert '\x1b[2K' in capsys.readouterr().out

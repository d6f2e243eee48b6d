"""Command lines: arguments in, exit status out; the work is done elsewhere in the package."""

import argparse
import contextlib
import functools
import os
import select
import signal
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, ParamSpec, TextIO

from mmseq.addresses import public_text
from mmseq.compat.waiting_threads import wait_as_the_machine_allows
from mmseq.errors import InputError, ProcessError
from mmseq.explain import explaining
from mmseq.explain.work import NO_CONFIG
from mmseq.ranks import end_with_parent, is_first_process

if TYPE_CHECKING:
    from mmseq.engine.own.changes import OwnData
    from mmseq.large.tiles import Tiles
    from mmseq.model.named import Named

P = ParamSpec('P')
CONFIG_HELP = (
    'config file, or mmseq::NAME for one that comes with mmseq; for a work dir or a checkpoint (a file, '
    'hf://OWNER/NAME, https://) the config inside it is used'
)
# Seconds in which the first of several processes reports what all of them meet.
PATIENCE = 10
RUNS_HELP = 'work dirs; the folder of mmseq seeds means the work dirs of its seeds'
PROCESSES = (
    'torchrun starts the processes on a free port, each with OMP_NUM_THREADS=1 unless it is set. With MAX_RESTARTS=N '
    'in the environment all of them are restarted, up to N times, after one has died; a training then resumes from its '
    'newest checkpoint. On several nodes, run the same command on each, with NNODES, NODE_RANK (0 on the node of '
    'MASTER_ADDR), MASTER_ADDR and PORT (default: 29500), and with LOCAL_ADDR on a node that the others cannot reach '
    'by its host name. A node ends if that of MASTER_ADDR has not answered for SILENCE_TIMEOUT seconds (default: 180).'
)


class HelpFormatter(argparse.HelpFormatter):
    """Fills the lines of a text, but keeps indented ones, such as examples, as they are typed."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return '\n'.join(
            indent + line if line.startswith(' ') else textwrap.fill(line, width, initial_indent=indent)
            for line in text.splitlines()
        )


class AnyOrderParser(argparse.ArgumentParser):
    """Takes positional arguments and options in any order; argparse's own leaves out optional ones behind an option."""

    _mixing = False

    # argparse's takes namespaces of any class.
    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        if self._mixing:
            return super().parse_known_args(args, namespace)
        self._mixing = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._mixing = False


def command_parser(
    name: str, description: str, *examples: str, parser_class: type[argparse.ArgumentParser] = AnyOrderParser
) -> argparse.ArgumentParser:
    """The parser of a command, without its arguments.

    Args:
        name: of the command, after ``mmseq``.
        description: what the command does, what it writes, and its exit status if that is not 0 for a complete run.
        examples: command lines that work wherever mmseq is installed.
        parser_class: for a command that has to change how its line is read.
    """
    title = 'examples' if len(examples) > 1 else 'example'
    epilog = f'{title}:\n' + ''.join(f'  {example}\n' for example in examples)
    return parser_class(f'mmseq {name}', description=description, epilog=epilog, formatter_class=HelpFormatter)


def run(main: Callable[[], int | None]) -> None:
    """Run a command and exit: 0 on success, 2 with one line on stderr for bad input.

    ``MMSEQ_DEBUG=1`` shows the whole traceback instead.
    """
    end_with_parent()
    wait_as_the_machine_allows(os.environ)
    try:
        with explaining(NO_CONFIG):
            status = main()
            # Here and not at exit, where nothing would catch that nobody reads it.
            sys.stdout.flush()
            sys.exit(status)
    except BrokenPipeError:
        if not _is_unread(sys.stdout):
            raise
        # `mmseq configs | head` has seen enough; Python would flush once more at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except KeyboardInterrupt:
        # Raised again, so that Python ends workers and exits as interrupted, which also stops a loop of the shell.
        sys.excepthook = lambda *_: print('interrupted', file=sys.stderr) if is_first_process() else None
        raise
    except InputError as error:
        if os.environ.get('MMSEQ_DEBUG'):
            raise
        if not is_first_process() and not isinstance(error, ProcessError):
            # The first process meets the same fault and reports it, and torchrun then ends this one. If this one were
            # to end before, torchrun would end the first, and nothing would be reported.
            time.sleep(PATIENCE)
        print(f'error: {public_text(str(error))}', file=sys.stderr, flush=True)
        sys.exit(2)


def plainly(main: Callable[P, int]) -> Callable[P, int]:
    """A command that loads a model or data: it prints what a person reads, as a training does, and no log."""

    @functools.wraps(main)
    def quiet(*args: P.args, **kwargs: P.kwargs) -> int:
        with plain_lines():
            return main(*args, **kwargs)

    return quiet


@contextlib.contextmanager
def plain_lines() -> Iterator[None]:
    """What is logged is printed as a person reads it, and what upstream says is not."""
    from mmseq.engine.terminal import shown

    with shown() as terminal:
        # No head of a run will tell of the weights.
        terminal.weights = None
        yield


def _is_unread(stream: TextIO) -> bool:
    """Whether the other end of a pipe is closed."""
    poll = select.poll()
    poll.register(stream, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def add_config_arguments(parser: argparse.ArgumentParser, optional: bool = False) -> None:
    """The arguments of the commands that run on the data of a config."""
    add_model_arguments(parser, optional)
    parser.add_argument('--seed', type=int, help="seed of all random numbers (default: the config's, else 0)")
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm'],
        default='none',
        help='how this process was started; --gpus and tools/slurm_*.sh set it (default: none)',
    )


def add_process_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of a command that can run as several processes; :func:`add_config_arguments` gives the rest."""
    group = parser.add_argument_group('several processes', PROCESSES)
    group.add_argument(
        '--gpus',
        '--processes',
        dest='processes',
        type=positive,
        metavar='N',
        help='run on N GPUs of this machine, or in N processes over gloo where there is no GPU',
    )


def add_verbose_argument(group: argparse._ActionsContainer) -> None:
    """The switch of a run's terminal; for a parser or a group of one."""
    group.add_argument(
        '--verbose',
        action='store_true',
        help='print all that the log file gets: config, hooks, groups of parameters, environment, warnings of upstream',
    )


def launch_processes(command: str, args: argparse.Namespace, argv: list[str] | None) -> int | None:
    """Start the command again as several processes, if ``--gpus`` asks for them and this is not one of them yet.

    Returns:
        Their exit status, or None if this process has to do the work.

    Raises:
        InputError: a launcher that did not start this process.
    """
    if args.launcher == 'pytorch' and 'RANK' not in os.environ:
        raise InputError('--launcher pytorch is for processes that torchrun has started; give --gpus N instead')
    if args.launcher == 'slurm' and 'SLURM_PROCID' not in os.environ:
        raise InputError('--launcher slurm is for processes that srun has started; see tools/slurm_train.sh --help')
    if args.processes is None or args.launcher != 'none':
        return None
    from mmseq.engine.torchrun import launch

    ends = launch(command, sys.argv[1:] if argv is None else argv, args.processes)
    # A process that ended with 2 has already printed its error.
    if ends and 2 not in ends.values():
        listed = ', '.join(
            f'rank {rank} with {f"signal {-status}" if status < 0 else f"status {status}"}'
            for rank, status in sorted(ends.items())
        )
        print(f'error: ended: {listed}; see the cause above', file=sys.stderr, flush=True)
    return 2 if 2 in ends.values() else int(bool(ends))


def add_model_arguments(parser: argparse.ArgumentParser, optional: bool = False) -> None:
    """The arguments of the commands that take the config of a model."""
    add_config_file(parser, optional)
    parser.add_argument('--work-dir', metavar='DIR', help='output folder (default: work_dirs/<config name>)')


def add_config_file(parser: argparse.ArgumentParser, optional: bool = False) -> None:
    """The arguments of the commands that take a config, which may be left out for one that goes with own data."""
    add_config_name(parser, optional)
    add_options(parser, 'train_dataloader.batch_size=4 model.backbone.with_cp=True')


def add_options(parser: argparse.ArgumentParser, example: str) -> None:
    """Entries of a config, as arguments."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=OptionsAction,
        default={},
        metavar='KEY=VALUE',
        help=f'override config entries, such as {example}',
    )


def add_processes_of_each(parser: argparse.ArgumentParser) -> None:
    """The processes of each of several trainings."""
    parser.add_argument(
        '--gpus',
        '--processes',
        dest='processes',
        type=positive,
        default=1,
        metavar='N',
        help='GPUs per training, or processes where there is no GPU (default: 1)',
    )


def add_config_name(parser: argparse.ArgumentParser, optional: bool = False) -> None:
    """The config alone."""
    more = '; with --data you can leave it out: one for the data is chosen' if optional else ''
    parser.add_argument('config', nargs='?' if optional else None, help=CONFIG_HELP + more)


def add_data_arguments(parser: argparse.ArgumentParser, epochs: bool = False) -> None:
    """The options that put own data under a config, and change its length and its image size."""
    group = parser.add_argument_group(
        'own data', 'These options change the config; --cfg-options are applied after them.'
    )
    group.add_argument(
        '--data',
        metavar='CARD',
        help='use the images and labels of this data card (written by mmseq import-data), not those of the config; '
        'classes, image size and schedule are set to match them',
    )
    if epochs:
        group.add_argument(
            '--epochs',
            type=positive,
            metavar='N',
            help='train for N epochs; the schedule is scaled to that length',
        )
    group.add_argument(
        '--image-size',
        type=positive,
        metavar='PX',
        help="side of a segmentor's crop, or shorter side of a detector's images; all other sizes in the config are "
        'scaled by the same ratio',
    )


def own_data(args: argparse.Namespace) -> 'OwnData':
    """What the options of :func:`add_data_arguments` ask of the config; without one, ``args`` gets that of the data.

    Raises:
        InputError: there is neither a config nor a data card.
    """
    from mmseq.engine.own.changes import OwnData

    own = OwnData(args.data, getattr(args, 'epochs', None), args.image_size)
    args.config = own.config(args.config)
    return own


def add_checkpoint_argument(parser: argparse.ArgumentParser, without: str = '') -> None:
    """The checkpoint, for the commands on trained models; :func:`trained_model` reads config and checkpoint.

    Args:
        parser: of the command.
        without: what it does with a config alone; empty if that is refused.
    """
    parser.add_argument(
        'checkpoint',
        nargs='?',
        help='checkpoint of a training with this config; not needed after a work dir (its best checkpoint, or else its '
        f'last, is used) or after a checkpoint{f" ({without})" * bool(without)}',
    )


def trained_model(args: argparse.Namespace) -> 'Named':
    """The model that config and checkpoint name, or one word for both; None for the checkpoint of a config alone.

    Raises:
        InputError: there is no such config or checkpoint, or a word too many.
    """
    from mmseq.model.named import find_model

    with plain_lines():
        named, rest = find_model([word for word in (args.config, args.checkpoint) if word is not None])
    if rest:
        raise InputError(f'one argument too many: {rest[0]}; {args.config} already names a config and its checkpoint')
    return named


def add_device_argument(parser: argparse.ArgumentParser) -> None:
    """The device, for the commands that run a model in this process."""
    parser.add_argument('--device', help='cpu or cuda (default: cuda if there is one)')


def add_tile_arguments(parser: argparse.ArgumentParser) -> None:
    """The options on tiles; :func:`tiles_of` reads them."""
    group = parser.add_argument_group('large images')
    group.add_argument(
        '--tiles',
        type=positive,
        metavar='PX',
        help='predict the image at its own resolution in tiles of this side; memory hardly grows with the image, and '
        'what borders cut is joined',
    )
    group.add_argument(
        '--overlap',
        type=share,
        metavar='S',
        help='share of a tile that the next one shows again (default: 0.2); best as large as most objects',
    )


def check_tiles(args: argparse.Namespace) -> None:
    """Raises InputError for an overlap of no tiles."""
    if args.overlap is not None and args.tiles is None:
        raise InputError('--overlap is of --tiles PX; give both')


def tiles_of(args: argparse.Namespace, batch: int) -> 'Tiles | None':
    """The tiles that the options ask for, so many at a time.

    Raises:
        InputError: tiles that are too small, or overlap too far.
    """
    from mmseq.large.tiles import OVERLAP, Tiles

    return None if args.tiles is None else Tiles(args.tiles, OVERLAP if args.overlap is None else args.overlap, batch)


class OptionsAction(argparse.Action):
    """mmengine's DictAction, imported only when the option is given, so that --help does not wait for it.

    Raises:
        InputError: a text without a key, with brackets that do not match or with dicts in a list; mmengine is absent.
    """

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[str] | None,
        option_string: str | None = None,
    ) -> None:
        texts = list(values or ())
        for text in texts:
            if '=' not in text or text.startswith('='):
                raise InputError(f'{option_string} {text}: expected KEY=VALUE, as train_dataloader.batch_size=4')
        try:
            from mmengine.config import DictAction
        except ImportError as error:
            raise InputError("mmengine is not installed: pip install 'mmseq[mm]'") from error
        action = DictAction(self.option_strings, self.dest, self.nargs)
        try:
            action(parser, namespace, values, option_string)
        except AssertionError as error:
            raise InputError(f'{option_string}: brackets that do not match in {" ".join(texts)}') from error
        except RecursionError as error:
            raise InputError(
                f'{option_string} {" ".join(texts)}: lists may contain numbers, words and lists; write lists '
                'of dicts into a config that inherits this one'
            ) from error


def share(text: str) -> float:
    """A number from 0 to 1, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f'{text}: expected a number from 0 to 1')
    return value


def positive(text: str) -> int:
    """A whole number above 0, for argparse."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f'{text}: expected a whole number above 0')
    return int(text)

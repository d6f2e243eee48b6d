"""Command lines: arguments in, exit status out; the work is done elsewhere in the package."""

import argparse
import os
import sys
from collections.abc import Callable

from mmseq.errors import InputError
from mmseq.ranks import is_first_process


def run(main: Callable[[], int | None]) -> None:
    """Run a command and exit: 0 on success, 2 with one line on stderr for input that the user can mend.

    ``MMSEQ_DEBUG=1`` shows the whole traceback instead.
    """
    try:
        sys.exit(main())
    except InputError as error:
        if os.environ.get('MMSEQ_DEBUG'):
            raise
        if is_first_process():
            print(f'error: {error}', file=sys.stderr, flush=True)
        sys.exit(2)


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that every command takes that runs what a config says."""
    add_model_arguments(parser)
    parser.add_argument('--seed', type=int, help='seed of all random numbers (default: the config, 0)')
    parser.add_argument(
        '--launcher', choices=['none', 'pytorch', 'slurm'], default='none', help='set by tools/dist_*.sh'
    )


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that every command with a config takes."""
    # Imported here so that --help and commands without a config do not wait for it.
    from mmengine.config import DictAction

    parser.add_argument('config', help='config file')
    parser.add_argument('--work-dir', help='outputs (default: work_dirs/<config name>)')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        default={},
        metavar='KEY=VALUE',
        help='override config entries, for example train_dataloader.batch_size=4 model.backbone.with_cp=True',
    )

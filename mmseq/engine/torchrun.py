"""A command on several processes of this node, started by torchrun."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from mmseq.engine.store_watch import ending_without
from mmseq.errors import InputError
from mmseq.ranks import PARENT


def launch(command: str, arguments: Sequence[str], processes: int) -> dict[int, int]:
    """Run ``mmseq COMMAND ARGUMENTS --launcher pytorch`` on so many processes of this node, to their end.

    The environment decides the rest: ``MAX_RESTARTS``, and for several nodes ``NNODES``, ``NODE_RANK``,
    ``MASTER_ADDR``, ``PORT``, ``LOCAL_ADDR``, ``JOIN_TIMEOUT``, ``SILENCE_TIMEOUT`` and ``RDZV_ID``.

    Args:
        command: ``train`` or ``test``.
        arguments: of the command.
        processes: one per GPU; over gloo where there is none.

    Returns:
        The exit statuses of the processes that failed by their rank, negative after a signal; empty on success.

    Raises:
        InputError: a setting of the environment that is no number, or a port that is in use.
    """
    options = [*rendezvous(os.environ), '--nproc-per-node', str(processes)]
    # torch takes a second, and only this needs it.
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.elastic.rendezvous.api import RendezvousConnectionError
    from torch.distributed.run import main

    try:
        with added_to_environment(settings(os.environ)), watching_first_node(os.environ):
            main([*options, '-m', 'mmseq', command, *arguments, '--launcher', 'pytorch'])
    except ChildFailedError as error:
        return {rank: failure.exitcode for rank, failure in error.failures.items()}
    except RendezvousConnectionError as error:
        place = f'{os.environ.get("MASTER_ADDR", "127.0.0.1")}:{os.environ.get("PORT", "29500")}'
        raise InputError(
            f'PORT: {place} is in use by another program, or out of reach; choose another PORT, the same on all nodes, '
            'or on one node leave it out'
        ) from error
    return {}


@contextmanager
def added_to_environment(values: Mapping[str, str]) -> Iterator[None]:
    """Variables for the processes that are started meanwhile; later ones of the caller do without them."""
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def rendezvous(environment: Mapping[str, str]) -> list[str]:
    """The options of torchrun by which the processes find each other, and how often they are started again.

    Raises:
        InputError: a setting that is no number.
    """
    restarts, nodes, rank = (number(environment, *x) for x in (('MAX_RESTARTS', 0), ('NNODES', 1, 1), ('NODE_RANK', 0)))
    if nodes == 1 and not environment.get('PORT'):
        # Looks for a free port.
        return ['--standalone', '--max-restarts', str(restarts)]
    host = environment.get('MASTER_ADDR', '127.0.0.1')
    port = number(environment, 'PORT', 29500, 1)
    # The first node is where the others look for it.
    first = rank == 0
    address = environment.get('LOCAL_ADDR') or (host if first else '')
    timeout = number(environment, 'JOIN_TIMEOUT', 600, 1)
    return [
        *('--nnodes', str(nodes), '--max-restarts', str(restarts)),
        *('--rdzv-backend', 'c10d', '--rdzv-endpoint', f'{host}:{port}'),
        *('--rdzv-id', environment.get('RDZV_ID', 'mmseq')),
        *('--rdzv-conf', f'is_host={int(first)},join_timeout={timeout}'),
        *(('--local-addr', address) if address else ()),
    ]


def watching_first_node(environment: Mapping[str, str]) -> AbstractContextManager[None]:
    """On every other node: this process ends once the first one, which holds the rendezvous, no longer answers.

    Raises:
        InputError: a setting that is no number.
    """
    if number(environment, 'NODE_RANK', 0) == 0:
        return nullcontext()
    seconds = number(environment, 'SILENCE_TIMEOUT', 180, 1)
    port = number(environment, 'PORT', 29500, 1)
    return ending_without(environment.get('MASTER_ADDR', '127.0.0.1'), port, seconds)


def number(environment: Mapping[str, str], name: str, default: int, least: int = 0) -> int:
    """A setting that is a whole number.

    Raises:
        InputError: it is none, or too small.
    """
    text = environment.get(name) or str(default)
    if not text.isdecimal() or int(text) < least:
        raise InputError(f'{name}={text} in the environment: expected a whole number of at least {least}')
    return int(text)


def settings(environment: Mapping[str, str]) -> dict[str, str]:
    """What the processes need in their environment."""
    found = {
        # By default the store in which the processes look for each other outlives a restart (torch 2.4 to 2.14 at
        # least), and new processes find the addresses of dead ones there.
        'TORCH_DISABLE_SHARE_RDZV_TCP_STORE': '1',
        # More threads than that would fight for the same cores.
        'OMP_NUM_THREADS': environment.get('OMP_NUM_THREADS', '1'),
    }
    return found | of_child(environment)


def of_child(environment: Mapping[str, str]) -> dict[str, str]:
    """What ``python -m mmseq`` needs in its environment to be found from any folder, and to end with this process."""
    found = {PARENT: str(os.getpid())}
    home = str(Path(__file__).parents[2])
    # Python looks into the folder in which it is started first, where a clone may lie that has the package's name.
    if home not in sys.path:
        found['PYTHONPATH'] = os.pathsep.join(filter(None, (home, environment.get('PYTHONPATH'))))
    return found

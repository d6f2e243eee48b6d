"""How threads that wait should wait: an LSTM backbone on a quiet machine and with one core taken, per setting.

    python benchmarks/busy.py                       # on a quiet machine; two minutes on two cores

torch's threads meet after every step of an LSTM. One that spins until the others come holds a core that they may need;
one that sleeps has to be woken. Each setting has a process of its own, since libgomp reads it once, and they take
turns, first alone, then beside a process that takes one core. "ours" is what mmseq's commands choose when they start
(mmseq/compat/waiting_threads.py). A setting fits if it costs at most 3 % of torch's default where the machine is quiet,
and at most 1.5 times one thread where it is not. `cores_taken` in the results is what other programs took meanwhile:
figures count only where it is near 0. A setting whose turn took longer than --limit gets no further one on that side.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from mmseq.cli import run
from mmseq.compat.waiting_threads import VARIABLES, free_cores, wait_as_the_machine_allows
from mmseq.files import write_json
from mmseq.measure.timing import machine

RESULTS = Path(__file__).parent / 'results'
ROOT = Path(__file__).parents[1]
SETTINGS: dict[str, dict[str, str]] = {
    'default': {},
    'one thread': {'OMP_NUM_THREADS': '1'},
    'passive': {'OMP_WAIT_POLICY': 'passive'},
    **{f'spin {count}': {'GOMP_SPINCOUNT': str(count)} for count in (1000, 10000)},
}
QUIET, BUSY = 1.03, 1.5
# Seconds for the threads of the setting before to fall asleep.
REST = 0.1
WORKER = """
import sys, time, torch
from mmseq.backbones import Sequencer2D
torch.manual_seed(0)
model, images = Sequencer2D('s').eval(), torch.randn(1, 3, {side}, {side})
with torch.inference_mode():
    model(images)
    print('ready', flush=True)
    for line in sys.stdin:
        begin = time.perf_counter()
        model(images)
        print(time.perf_counter() - begin, flush=True)
"""


class Worker:
    """A process with one setting, which runs the model when it is asked to."""

    def __init__(self, setting: dict[str, str], side: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, '-c', WORKER.format(side=side)],
            env=plain_environment() | {'PYTHONPATH': str(ROOT)} | setting,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.answer()

    def answer(self) -> str:
        line = self.process.stdout.readline()
        if not line:
            raise ChildProcessError(f'a measuring process ended with {self.process.wait()}')
        return line

    def seconds(self) -> float:
        """Of one forward pass."""
        time.sleep(REST)
        self.process.stdin.write('go\n')
        self.process.stdin.flush()
        return float(self.answer())


def plain_environment() -> dict[str, str]:
    """That of this process without what decides how threads wait."""
    return {key: value for key, value in os.environ.items() if key not in ('OMP_NUM_THREADS', *VARIABLES)}


def chosen() -> dict[str, str]:
    """What mmseq's commands would set if they started now."""
    environment = plain_environment()
    wait_as_the_machine_allows(environment)
    return {key: environment[key] for key in VARIABLES if key in environment}


def measure(names: list[str], args: argparse.Namespace) -> dict[str, list[float]]:
    """Seconds of each setting, in turns."""
    settings = {name: SETTINGS[name] for name in names} | {'ours': chosen()}
    workers = {name: Worker(setting, args.side) for name, setting in settings.items()}
    times: dict[str, list[float]] = {name: [] for name in workers}
    for number in range(args.rounds):
        order = [name for name in workers if not times[name] or times[name][-1] <= args.limit]
        # Another one goes first in each round.
        for name in order[number % len(order) :] + order[: number % len(order)]:
            times[name].append(workers[name].seconds())
    for worker in workers.values():
        worker.process.kill()
    return times


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--side', type=int, default=504, help='pixels of the square image')
    parser.add_argument('--rounds', type=int, default=5, help='turns of every setting and side')
    parser.add_argument('--limit', type=float, default=10, help='seconds of a turn after which a setting has no more')
    parser.add_argument('--only', nargs='+', choices=SETTINGS, default=list(SETTINGS), help='beside ours')
    parser.add_argument('--out', type=Path, default=RESULTS / 'busy.json')
    args = parser.parse_args()
    names = list(dict.fromkeys(['default', 'one thread', *args.only]))
    allowed = os.sched_getaffinity(0)
    taken = len(allowed) - free_cores(allowed, 2.0)
    print(f'{taken:.1f} of {len(allowed)} cores are taken by other programs')
    times = {'quiet': measure(names, args)}
    with subprocess.Popen([sys.executable, '-c', 'while True: pass']) as other:
        times['busy'] = measure(names, args)
        other.kill()
    rows = [row(name, times) for name in ('ours', *names)]
    for one in rows:
        print(
            '{name:11} quiet {quiet:6.2f} s, {to_default:4.2f} of default   busy {busy:6.2f} s, '
            '{to_one_thread:4.2f} of one thread   {verdict}'.format(**one, verdict='fits' if one['fits'] else '')
        )
    about = dict(machine=machine(torch.device('cpu')), side=args.side, cores_taken=taken)
    print(write_json(args.out, dict(about, rows=rows)))
    return 0


def row(name: str, times: dict[str, dict[str, list[float]]]) -> dict[str, Any]:
    """Median seconds of a setting on both sides, and what it costs."""
    middle = {side: {key: statistics.median(values) for key, values in found.items()} for side, found in times.items()}
    quiet = middle['quiet'][name] / middle['quiet']['default']
    busy = middle['busy'][name] / middle['busy']['one thread']
    return dict(
        name=name,
        quiet=middle['quiet'][name],
        busy=middle['busy'][name],
        turns={side: found[name] for side, found in times.items()},
        to_default=quiet,
        to_one_thread=busy,
        fits=quiet <= QUIET and busy <= BUSY,
    )


if __name__ == '__main__':
    run(main)

"""Kill a training again and again, and compare what it ends with with a run that was left alone.

Example: python tests/faults/kills.py --seg 14 --det 8 --out benchmarks/results/faults_kills_models.json
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from mmseq.checkpoints.storage import load_file
from mmseq.datasets.shapes import generate
from tests.faults.toys import recorded
from tests.nursery import Nursery

CONFIGS = Path(__file__).parent / 'configs'
# The last iteration of each config, and options that set it.
LENGTHS = {
    'toy': (200, ['train_cfg.max_iters=200', 'param_scheduler.0.T_max=200', 'model.seconds=0.005']),
    'toy_epochs': (40, ['model.seconds=0.005']),
    'seg': (60, ['train_cfg.max_iters=60']),
    'det': (60, ['train_cfg.max_epochs=15']),
}


def survive(nursery: Nursery, name: str, folder: Path, kills: int, seed: int = 0) -> dict[str, Any]:
    """Kill runs of a config `kills` times in all and check every loss and every final state.

    Raises:
        AssertionError: something was lost or differs.
    """
    chance = random.Random(seed)
    length, options = LENGTHS[name]
    command = [CONFIGS / f'{name}.py', '--no-data-check', '--cfg-options', *options]
    nursery.train(*command, '--work-dir', folder / 'whole', log=folder / 'whole.log', seconds=1200)
    whole = dict(recorded(folder / 'whole'))
    assert sorted(whole) == list(range(length))
    counts: Counter[str] = Counter()
    runs = 0
    while sum(counts.values()) < kills:
        work_dir = folder / f'killed_{runs}'
        runs += 1
        for kind in kill_until_done(nursery, [*command, '--work-dir', work_dir], chance):
            counts[kind] += 1
            if sum(counts.values()) == kills:
                resume = ['--resume'] if (work_dir / 'run.json').exists() else []
                nursery.train(*command, '--work-dir', work_dir, *resume, log=work_dir / 'log', seconds=1200)
                break
        compare(folder / 'whole', work_dir, whole, length)
    repeated = sum(len(recorded(folder / f'killed_{run}')) for run in range(runs)) - runs * length
    return dict(config=name, kills=kills, runs=runs, iterations=length, repeated_iterations=repeated, **counts)


def kill_until_done(nursery: Nursery, command: list, chance: random.Random) -> Iterator[str]:
    """Start a run, kill it, start it again; yields when it was killed, ends when it ended by itself."""
    work_dir = Path(command[-1])
    work_dir.mkdir(parents=True)
    while True:
        # The note of the first start decides nothing here: every start is one by hand.
        before = newest(work_dir)
        lines = len(recorded(work_dir))
        resume = ['--resume'] if (work_dir / 'run.json').exists() else []
        pid = nursery.start(*command, *resume, log=work_dir / 'log')
        ended = wait_for_moment(nursery, pid, work_dir, lines, chance)
        first = recorded(work_dir)[lines : lines + 1]
        # Nothing that was saved is done again.
        assert not first or first[0][0] == before, f'{first[0][0]} instead of {before}'
        if ended is not None:
            assert ended == 0, (work_dir / 'log').read_text()[-3000:]
            return
        if len(recorded(work_dir)) == lines:
            yield 'while_starting'
        elif temporaries(work_dir):
            yield 'while_saving'
        else:
            yield 'while_training'


def wait_for_moment(nursery: Nursery, pid: int, work_dir: Path, lines: int, chance: random.Random) -> int | None:
    """Kill a run at a random moment; returns its exit status if it ended before."""
    kind = chance.choices(['starting', 'training', 'saving'], [1, 4, 5])[0]
    old = temporaries(work_dir)
    moment = time.monotonic() + chance.uniform(0, 2)
    wanted = lines + chance.randint(1, 9)
    while nursery.status(pid) is None:
        if kind == 'starting' and time.monotonic() > moment:
            break
        if kind == 'training' and len(recorded(work_dir)) >= wanted:
            time.sleep(chance.uniform(0, 0.05))
            break
        if kind == 'saving' and len(recorded(work_dir)) >= wanted and temporaries(work_dir) - old:
            time.sleep(chance.choice([0, 0, 0.001, 0.005]))
            break
        time.sleep(0.0005)
    status = nursery.status(pid)
    if status is None:
        os.kill(pid, signal.SIGKILL)
        status = nursery.wait(pid)
        # It may have come to its end in between.
        return None if status == -signal.SIGKILL else status
    return status


def temporaries(work_dir: Path) -> set[str]:
    """Files that are being written, or were when their writer died."""
    return {path.name for path in work_dir.glob('.*.pth.*.draft')}


def newest(work_dir: Path) -> int:
    """Iteration of the newest regular checkpoint, 0 without one."""
    return max((int(path.stem.split('_')[1]) for path in work_dir.glob('iter_*.pth')), default=0)


def compare(whole_dir: Path, work_dir: Path, whole: dict[int, float], length: int) -> None:
    """Every loss, and all that the last and the best checkpoint hold, are those of the whole run."""
    losses = recorded(work_dir)
    wrong = [(iteration, loss, whole[iteration]) for iteration, loss in losses if loss != whole[iteration]]
    assert not wrong, f'{len(wrong)} losses differ, the first: {wrong[0]}'
    assert {iteration for iteration, _ in losses} == set(range(length))
    names = [{path.name for path in folder.glob('*.pth')} for folder in (whole_dir, work_dir)]
    assert names[0] == names[1], names
    for name in names[0]:
        one, other = (load_file(folder / name) for folder in (whole_dir, work_dir))
        for key in ('state_dict', 'ema_state_dict', 'optimizer', 'param_schedulers'):
            assert_same(one.get(key), other.get(key), f'{name}: {key}')
        scores = [checkpoint['message_hub']['runtime_info'].get('best_score') for checkpoint in (one, other)]
        assert scores[0] == scores[1], f'{name}: best score {scores}'


def assert_same(one: Any, other: Any, where: str) -> None:
    """Nested values are equal bit by bit."""
    assert type(one) is type(other), where
    if isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key, value in one.items():
            assert_same(value, other[key], f'{where}.{key}')
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other), where
        for i, (left, right) in enumerate(zip(one, other)):
            assert_same(left, right, f'{where}.{i}')
    elif isinstance(one, torch.Tensor):
        assert torch.equal(one, other), where
    else:
        assert one == other, f'{where}: {one} and {other}'


def main() -> None:
    """Run and write the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in LENGTHS:
        parser.add_argument(f'--{name.replace("_", "-")}', type=int, default=0, metavar='KILLS')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--out', type=Path)
    args = parser.parse_args()
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder) / 'data' / 'shapes', train=8, val=4, seed=0)
        nursery = Nursery(MMSEQ_DATA=f'{folder}/data')
        rows = []
        for name in LENGTHS:
            if kills := getattr(args, name):
                target = Path(folder) / name
                target.mkdir()
                rows.append(survive(nursery, name, target, kills, args.seed))
                print(rows[-1], flush=True)
        nursery.close()
    result = dict(
        command=f'python {" ".join(sys.argv)}',
        kills=sum(row['kills'] for row in rows),
        lost=0,
        seconds=round(time.monotonic() - start),
        runs=rows,
    )
    if args.out:
        args.out.write_text(json.dumps(result, indent=2) + '\n')


if __name__ == '__main__':
    main()

"""Kill workers of a torchrun run that may restart them, and count what comes back.

Example: python tests/faults/elastic.py --restarts 20 --out benchmarks/results/faults_elastic.json
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.faults.launched import ROOT, TOY, end, start, wait_until, worker
from tests.faults.toys import recorded
from tests.nursery import Nursery


def run(nursery: Nursery, folder: Path, restarts: int, seed: int = 0) -> dict[str, Any]:
    """Train with two processes, kill one of them `restarts` times, and check every loss against a run left alone.

    Raises:
        AssertionError: the run did not end, not with the same number of iterations, or with other losses.
    """
    chance = random.Random(seed)
    length = 12 * (restarts + 1)
    options = ['--no-data-check', '--cfg-options', f'train_cfg.max_iters={length}', 'train_cfg.val_interval=24']
    options += [f'param_scheduler.0.T_max={length}', 'model.seconds=0.1']
    nursery.train(TOY, *options, '--work-dir', folder / 'alone', processes=2, log=folder / 'alone.log', seconds=600)
    log, work_dir = folder / 'log', folder / 'killed'
    script = ROOT / 'tools' / 'dist_train.sh'
    process = start(script, TOY, 2, *options, '--work-dir', work_dir, log=log, MAX_RESTARTS=restarts, **nursery.pythons)
    pids = {0}
    try:
        for _ in range(restarts):
            rank = chance.randrange(2)
            before = len(recorded(work_dir, rank))
            # Past the next checkpoint, so that the run gets on.
            wanted = before + 4 + chance.randrange(5)
            wait_until(lambda: len(recorded(work_dir, rank)) >= wanted, process, log)  # noqa: B023
            pid = worker(work_dir, rank)
            assert pid not in pids
            pids.add(pid)
            os.kill(pid, signal.SIGKILL)
        assert process.wait(300) == 0, log.read_text()[-3000:]
    finally:
        end(process)
    for rank in range(2):
        whole = dict(recorded(folder / 'alone', rank))
        losses = recorded(work_dir, rank)
        assert sorted(whole) == list(range(length))
        assert {iteration for iteration, _ in losses} == set(range(length))
        assert [pair for pair in losses if pair[1] != whole[pair[0]]] == []
    repeated = len(recorded(work_dir)) - length
    return dict(processes=2, restarts=restarts, iterations=length, repeated_iterations=repeated)


def main() -> None:
    """Run and write the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--restarts', type=int, default=20)
    parser.add_argument('--out', type=Path)
    args = parser.parse_args()
    start_time = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        nursery = Nursery()
        result = run(nursery, Path(folder), args.restarts)
        nursery.close()
    result = dict(
        command=f'python {" ".join(sys.argv)}', **result, lost=0, seconds=round(time.monotonic() - start_time)
    )
    print(result)
    if args.out:
        args.out.write_text(json.dumps(result, indent=2) + '\n')


if __name__ == '__main__':
    main()

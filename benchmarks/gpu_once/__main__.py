"""All that a GPU alone can settle, in one command on a bare machine: facts, proofs, times, trainings, a decision.

    PYTHONPATH=. python -m benchmarks.gpu_once --out work_dirs/gpu_once [--wheels DIR] [--data DIR]
    PYTHONPATH=. python -m benchmarks.gpu_once --dry          # the same parts on the CPU, at sizes that only try them

The machine needs Python, torch, torchvision, triton and timm; what else mmseq needs is installed beside the results
from the wheels of --wheels, without a network. --data is a folder with coco/ and ade/, as MMSEQ_DATA; without it the
generated shapes are trained on. Every part has a process of its own and a limit of its own, and writes its JSON at
once: a part that fails, or is cut off, costs the others nothing. The last part weighs them, and a table ends it all.
Limits add up to nine minutes; 'kernels' and 'training' run side by side. The exit status is 1 if a part failed.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
# Seconds; parts of one row run at the same time.
PLAN: tuple[dict[str, int], ...] = (
    {'facts': 30},
    {'kernels': 90, 'training': 90},
    {'proof': 90},
    {'layers': 60},
    {'backbones': 90},
    {'heads': 80},
    {'demo': 90},
    {'decision': 10},
)
# By which a dry run has more time: a CPU is slow, and may be busy.
PATIENCE = 10


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', type=Path, default=Path('work_dirs/gpu_once'), help='folder of the results')
    parser.add_argument('--wheels', type=Path, metavar='DIR', help='wheels of what this machine lacks')
    parser.add_argument('--data', type=Path, metavar='DIR', help='real data; without it the generated shapes')
    parser.add_argument('--dry', action='store_true', help='on the CPU, at small sizes')
    parser.add_argument('--only', nargs='+', choices=[name for row in PLAN for name in row], help='these parts alone')
    return parser.parse_args()


def environment(args: argparse.Namespace) -> dict[str, str]:
    """Of the parts: this repository, its benchmarks by their names, and the packages that were brought along."""
    paths = [str(ROOT), str(ROOT / 'benchmarks'), *([str(args.out / 'packages')] if args.wheels else [])]
    found = dict(os.environ, PYTHONPATH=os.pathsep.join([*paths, os.environ.get('PYTHONPATH', '')]))
    if args.dry:
        # Read when triton is imported.
        found['TRITON_INTERPRET'] = '1'
    if args.data:
        found['MMSEQ_DATA'] = str(args.data.resolve())
    return found


def install(args: argparse.Namespace) -> None:
    """Unpack the wheels beside the results; the machine's own environment stays as it is."""
    wheels = [str(path) for path in sorted(args.wheels.glob('*.whl'))]
    target = ['--target', str(args.out / 'packages'), '--upgrade', '--quiet']
    subprocess.run([sys.executable, '-m', 'pip', 'install', '--no-index', '--no-deps', *target, *wheels], check=True)


def run_row(row: dict[str, int], args: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Parts side by side, to the end of each or of its time."""
    begin = time.monotonic()
    started = {}
    for name in row:
        log = (args.out / f'{name}.log').open('w')
        command = [sys.executable, '-m', 'benchmarks.gpu_once.parts', name, str(args.out), *(['--dry'] * args.dry)]
        # A group of its own, so that what it starts ends with it.
        options = dict(stdout=log, stderr=subprocess.STDOUT, cwd=ROOT, env=environment(args), start_new_session=True)
        started[name] = subprocess.Popen(command, **options)
    patience = PATIENCE if args.dry else 1
    return {name: finish(name, started[name], begin + patience * limit, args.out) for name, limit in row.items()}


def finish(name: str, process: subprocess.Popen, deadline: float, out: Path) -> dict[str, Any]:
    """What became of a part: the state, the seconds left, and its own words for the table."""
    try:
        status = process.wait(max(1, deadline - time.monotonic()))
        state = 'ok' if status == 0 else f'failed with {status}'
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.wait()
        state = 'cut off'
    path = out / f'{name}.json'
    lines = json.loads(path.read_text())['lines'] if path.exists() else []
    if state != 'ok':
        lines += (out / f'{name}.log').read_text().strip().splitlines()[-1:]
    return dict(state=state, lines=lines)


def main() -> int:
    args = arguments()
    args.out = args.out.resolve()
    args.out.mkdir(parents=True, exist_ok=True)
    if args.wheels:
        install(args)
    found: dict[str, dict[str, Any]] = {}
    begin = time.monotonic()
    for row in PLAN:
        chosen = {name: limit for name, limit in row.items() if not args.only or name in args.only}
        for name, result in run_row(chosen, args).items():
            found[name] = result
            print(f'{time.monotonic() - begin:5.0f} s  {name}: {result["state"]}', flush=True)
            (args.out / 'summary.json').write_text(json.dumps(found, indent=2) + '\n')
    print()
    for name, result in found.items():
        for line in result['lines'] or ['nothing']:
            print(f'{name:10} {line}')
    return int(any(result['state'] != 'ok' for result in found.values()))


if __name__ == '__main__':
    sys.exit(main())

"""Losses that stay: fifty iterations of every family and task on fixed data, compared with those kept in a file.

    python -m benchmarks.golden                    # compares with tests/golden.json; exit status 1 if one differs
    python -m benchmarks.golden --write            # keeps what it finds
    python -m benchmarks.golden --levels avx2 default

Where torch, the level of the processor's instructions and its maker are those of a kept run, every bit has to be equal;
elsewhere the first two losses to a relative 1e-4: the second has been through a backward pass and a step.
"""

import argparse
import json
import math
import os
import platform
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mmseq.files import write_json

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / 'tests' / 'golden.json'
FAMILIES = ('seq2d', 'shiftvit', 'vil', 'vsequencer')
CASES = tuple(f'{task}_{family}_nano_shapes' for task in ('upernet', 'mask_rcnn') for family in FAMILIES)
ITERATIONS = 50
# Across levels sums are made in another order. AdamW's first steps are as long for small gradients as for large ones
# and enlarge that: from the third or fourth loss on, levels differ by 2e-4 and more.
SHARED, TOLERANCE = 2, 1e-4
# What ATen's and oneDNN's kernels may use at most.
LEVELS = {'default': 'SSE41', 'avx2': 'AVX2', 'avx512': 'AVX512_CORE'}
COMMON = {
    'train_dataloader.batch_size': 2,
    'train_dataloader.dataset.indices': 8,
    'train_dataloader.dataset.pipeline.2.scale': (96, 96),
    'default_hooks.logger.interval': 1,
    # Upstream's log smooths losses.
    'log_processor.window_size': 1,
    'default_hooks.checkpoint.interval': 1000,
    'val_dataloader': None,
    'val_evaluator': None,
    'val_cfg': None,
}
TASKS = {
    'upernet': {
        'train_dataloader.dataset.pipeline.3.crop_size': (64, 64),
        'model.data_preprocessor.size': (64, 64),
        'train_cfg.val_interval': 1000,
    },
    'mask_rcnn': {'train_cfg.val_interval': 1000},
}


def losses(case: str, folder: Path) -> list[float]:
    """The losses of a case, trained in this process."""
    import torch

    from mmseq.datasets.shapes import generate
    from mmseq.engine import launch

    torch.set_num_threads(1)
    if not (folder / 'shapes').exists():
        generate(folder / 'shapes', train=8, val=1, seed=0, size=(96, 96))
    os.environ['MMSEQ_DATA'] = str(folder)
    task = next(task for task in TASKS if case.startswith(task))
    # A detector's epoch has four iterations.
    length = {'train_cfg.max_iters': ITERATIONS}
    if task == 'mask_rcnn':
        length = {'train_cfg.max_epochs': math.ceil(ITERATIONS / 4)}
    options = COMMON | TASKS[task] | length
    work_dir = folder / case
    launch.train(str(ROOT / 'configs' / f'{case}.py'), options=options, work_dir=str(work_dir), seed=0)
    (scalars,) = work_dir.glob('*/vis_data/scalars.json')
    rows = [json.loads(line) for line in scalars.read_text().splitlines()]
    return [row['loss'] for row in rows if 'loss' in row][:ITERATIONS]


def level() -> str:
    """What bits depend on in this process: torch, the level of instructions, the maker of the processor."""
    import torch

    capability = torch.backends.cpu.get_cpu_capability()
    return f'torch {torch.__version__}, {capability}, {maker()}'


def maker() -> str:
    """Of the processor; libraries of linear algebra choose by it."""
    path = Path('/proc/cpuinfo')
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.split(':')[1].strip() for line in lines if line.startswith('vendor_id')]
    return names[0] if names else platform.processor() or platform.machine()


def differences(found: list[float], kept: dict[str, list[float]], where: str) -> str | None:
    """What is wrong with the losses of a case; None if nothing is.

    Args:
        found: at least as many as are compared.
        kept: losses by level.
        where: the level of those found.
    """
    exact = where in kept
    for name in [where] if exact else kept:
        for i, (one, other) in enumerate(zip(found, kept[name][: None if exact else SHARED])):
            if one != other if exact else abs(one - other) > TOLERANCE * abs(other):
                return f'iteration {i + 1}: loss {one!r}, kept is {other!r} ({name})'
    return None


def in_process(case: str, setting: str | None, folder: Path) -> dict[str, Any]:
    """A case in a process of its own at most at a level."""
    environment = dict(os.environ, OMP_NUM_THREADS='1', PYTHONPATH=os.pathsep.join([str(ROOT), *sys.path[1:]]))
    if setting:
        environment |= dict(ATEN_CPU_CAPABILITY=setting, ONEDNN_MAX_CPU_ISA=LEVELS[setting])
    command = [sys.executable, '-m', 'benchmarks.golden', '--case', case, '--folder', str(folder)]
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('cases', nargs='*', default=CASES, help='all by default')
    parser.add_argument(
        '--levels', nargs='+', choices=LEVELS, help='at most these instructions; by default all there are'
    )
    parser.add_argument('--write', action='store_true', help='keep what is found')
    parser.add_argument('--case', help=argparse.SUPPRESS)
    parser.add_argument('--folder', type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.case:
        print(json.dumps(dict(level=level(), losses=losses(args.case, args.folder))))
        return
    kept = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    wrong = 0
    for case in args.cases:
        for setting in args.levels or [None]:
            with TemporaryDirectory() as folder:
                found = in_process(case, setting, Path(folder))
            said = differences(found['losses'], kept.get(case, {}), found['level'])
            wrong += said is not None
            print(f'{case}, {found["level"]}: {said or "as kept"}', flush=True)
            if args.write:
                kept.setdefault(case, {})[found['level']] = found['losses']
                write_json(GOLDEN, kept)
    sys.exit(1 if wrong and not args.write else 0)


if __name__ == '__main__':
    main()

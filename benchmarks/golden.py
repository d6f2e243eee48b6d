"""Losses that stay: fifty iterations of every family and task on fixed data, compared with those kept in a file.

    python -m benchmarks.golden                    # compares with tests/golden.json; exit status 1 if one differs
    python -m benchmarks.golden --write            # keeps what it finds
    python -m benchmarks.golden --levels avx2 default

Where torch, the level of the processor's instructions and its maker are those of a kept run, every bit has to be equal.
Elsewhere the first losses agree to a relative 1e-4, thirty of segmentors and three of detectors: see ``SHARED``.
"""

import argparse
import itertools
import json
import math
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mmseq.files import write_json

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / 'tests' / 'golden.json'
SHORT_GOLDEN = ROOT / 'tests' / 'golden_short.json'
CHECKPOINTS = ROOT / 'tests' / 'golden_checkpoints'
FAMILIES = ('seq2d', 'shiftvit', 'vil', 'vsequencer')
CASES = tuple(f'{task}_{family}_nano_shapes' for task in ('upernet', 'mask_rcnn') for family in FAMILIES)
ITERATIONS = 50
# Across levels sums are made in another order. Training enlarges that, the less the smaller its steps and the larger
# AdamW's eps: without one, steps are as long for gradients that are rounding as for others. A norm over two pixels
# leaves their sign alone, so the heads have none. What stays is a choice: of two proposals of nearly equal score
# another one is taken, and from there on a detector is trained on other samples. So many losses agree to the
# tolerance, by the kind of run and the task; small images leave few pixels to a norm.
SHARED = {'losses': {'upernet': 30, 'mask_rcnn': 3}, 'short': {'upernet': 4, 'mask_rcnn': 3}}
TOLERANCE = 1e-4
# Of the runs of the tests; images of a batch, and their side in pixels.
SHORT, BATCHES = 10, {'upernet': (2, 32), 'mask_rcnn': (1, 48)}
# What ATen's and oneDNN's kernels may use at most.
LEVELS = {'default': 'SSE41', 'avx2': 'AVX2', 'avx512': 'AVX512_CORE'}
COMMON = {
    'optim_wrapper.optimizer.lr': 1e-4,
    'optim_wrapper.optimizer.eps': 1e-3,
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
        'model.decode_head.pool_scales': (2, 3, 6),
        'train_cfg.val_interval': 1000,
    },
    'mask_rcnn': {'train_cfg.val_interval': 1000},
}
# A segmentor whose checkpoint, optimizer included, is small enough to be kept.
TINY = {
    'model.backbone.arch': dict(
        _delete_=True, depths=(1, 1, 1, 1), dims=(8, 12, 16, 16), hidden=(2, 3, 4, 4), patches=(4, 2, 2, 2)
    ),
    'model.decode_head.in_channels': (8, 12, 16, 16),
    'model.decode_head.channels': 8,
    'model.auxiliary_head.in_channels': 16,
    'model.auxiliary_head.channels': 8,
    'default_hooks.checkpoint.interval': 4,
    'default_hooks.checkpoint.max_keep_ckpts': -1,
    'train_cfg.max_iters': 10,
}
RESUMED, STOP = 'upernet_seq2d_nano_shapes', 4


def losses(case: str, folder: Path) -> list[float]:
    """The losses of a case, trained in this process."""
    # A detector's epoch has four iterations.
    task, epochs = task_of(case), math.ceil(ITERATIONS / 4)
    length = {'train_cfg.max_epochs': epochs} if task == 'mask_rcnn' else {'train_cfg.max_iters': ITERATIONS}
    return trained(case, COMMON | TASKS[task] | length, folder)[:ITERATIONS]


def trained(case: str, options: dict[str, Any], folder: Path, resume: Path | None = None) -> list[float]:
    """The losses of a training in this process, on generated images in a folder; outputs go there, too."""
    import torch

    from mmseq.datasets.shapes import generate
    from mmseq.engine import launch

    torch.set_num_threads(1)
    if not (folder / 'shapes').exists():
        generate(folder / 'shapes', train=8, val=1, seed=0, size=(96, 96))
    os.environ['MMSEQ_DATA'] = str(folder)
    config, work_dir = str(ROOT / 'configs' / f'{case}.py'), folder / case
    launch.train(config, options=options, work_dir=str(work_dir), seed=0, resume=resume and str(resume))
    (scalars,) = work_dir.glob('*/vis_data/scalars.json')
    rows = [json.loads(line) for line in scalars.read_text().splitlines()]
    return [row['loss'] for row in rows if 'loss' in row]


def resumed(checkpoint: Path, folder: Path) -> list[float]:
    """The losses of a training that goes on from a kept checkpoint."""
    return trained(RESUMED, COMMON | TASKS['upernet'] | TINY, folder, checkpoint)


def write_checkpoint(kept: Path) -> None:
    """Keep a checkpoint of this version in a folder, and the losses that follow it."""
    with TemporaryDirectory() as folder:
        found = trained(RESUMED, COMMON | TASKS['upernet'] | TINY, Path(folder))
        kept.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(folder, RESUMED, f'iter_{STOP}.pth'), kept)
    write_json(kept / 'losses.json', {level(): found[STOP:]})


def short(case: str) -> list[float]:
    """Ten losses of a case on a batch of made-up images, without data sets and hooks: for the tests."""
    import torch

    from mmseq.config import read_config
    from mmseq.model.build import build_here

    torch.set_num_threads(1)
    torch.manual_seed(0)
    options = TASKS['upernet'] | {'model.data_preprocessor.size': (32, 32)} if task_of(case) == 'upernet' else {}
    model = build_here(read_config(str(ROOT / 'configs' / f'{case}.py'), options))
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, eps=1e-3)
    found = []
    for _ in range(SHORT):
        batch = model.data_preprocessor(made_up(task_of(case)), True)
        loss, _ = model.parse_losses(model(**batch, mode='loss'))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return found


def made_up(task: str) -> dict[str, Any]:
    """A batch before it is preprocessed: images of noise, with a square in each."""
    import numpy as np
    import torch
    from mmdet.structures import DetDataSample
    from mmdet.structures.mask import BitmapMasks
    from mmengine.structures import InstanceData, PixelData
    from mmseg.structures import SegDataSample

    (images, side), random = BATCHES[task], np.random.default_rng(0)
    inputs, samples = [], []
    for k in range(images):
        image, labels = random.integers(0, 256, (3, side, side), dtype=np.uint8), np.zeros((side, side), np.uint8)
        left, right = side // 8, side // 2 + 8 * k
        image[:, left:right, left:right] //= 4
        labels[left:right, left:right] = k + 1
        inputs.append(torch.from_numpy(image))
        about = dict(img_shape=(side, side), ori_shape=(side, side), pad_shape=(side, side), scale_factor=(1.0, 1.0))
        if task == 'upernet':
            truth = PixelData(data=torch.from_numpy(labels)[None].long())
            samples.append(SegDataSample(gt_sem_seg=truth, metainfo=about))
            continue
        box = torch.tensor([[left, left, right, right]]).float()
        masks = BitmapMasks((labels > 0).astype(np.uint8)[None], side, side)
        instances = InstanceData(bboxes=box, labels=torch.tensor([k + 1]), masks=masks)
        sample = DetDataSample(gt_instances=instances, ignored_instances=InstanceData(bboxes=box[:0]), metainfo=about)
        samples.append(sample)
    return dict(inputs=inputs, data_samples=samples)


def task_of(case: str) -> str:
    """With which a case begins."""
    return next(task for task in TASKS if case.startswith(task))


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


def differences(found: list[float], kept: dict[str, list[float]], where: str, shared: int) -> str | None:
    """What is wrong with the losses of a case; None if nothing is.

    Args:
        found: as many as are kept.
        kept: losses by level.
        where: the level of those found.
        shared: how many are compared with other levels.
    """
    exact = where in kept
    if exact and len(found) != len(kept[where]):
        return f'{len(found)} losses, kept are {len(kept[where])} ({where})'
    for name in [where] if exact else kept:
        for i, (one, other) in enumerate(zip(found, kept[name][: None if exact else shared])):
            if one != other if exact else abs(one - other) > TOLERANCE * abs(other):
                return f'iteration {i + 1}: loss {one!r}, kept is {other!r} ({name})'
    return None


def in_process(case: str, setting: str | None, folder: Path) -> dict[str, Any]:
    """A case in a process of its own at most at a level: its level, and its losses in full and of the short run."""
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
    parser.add_argument('--keep-checkpoint', metavar='VERSION', help='keep a checkpoint of this code, and what follows')
    parser.add_argument('--case', help=argparse.SUPPRESS)
    parser.add_argument('--folder', type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.case:
        print(json.dumps(dict(level=level(), short=short(args.case), losses=losses(args.case, args.folder))))
    elif args.keep_checkpoint:
        write_checkpoint(CHECKPOINTS / args.keep_checkpoint)
    else:
        sys.exit(1 if compare(args.cases, args.levels or [None], args.write) and not args.write else 0)


def compare(cases: Sequence[str], levels: Sequence[str | None], write: bool) -> int:
    """Train cases at levels, print what differs from what is kept, and keep what is found; returns how many differ."""
    files = {'losses': GOLDEN, 'short': SHORT_GOLDEN}
    kept = {name: json.loads(path.read_text()) if path.exists() else {} for name, path in files.items()}
    wrong = 0
    for case, setting in itertools.product(cases, levels):
        with TemporaryDirectory() as folder:
            found = in_process(case, setting, Path(folder))
        for name, path in files.items():
            of_case = kept[name].setdefault(case, {})
            said = differences(found[name], of_case, found['level'], SHARED[name][task_of(case)])
            wrong += said is not None
            print(f'{case}, {name}, {found["level"]}: {said or "as kept"}', flush=True)
            if write:
                of_case[found['level']] = found[name]
                write_json(path, kept[name])
    return wrong


if __name__ == '__main__':
    main()

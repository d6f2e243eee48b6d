"""Small models on public photographs, from pretrained and from random weights, by the commands that a user types.

    python -m benchmarks.photographs camvid --source CamVid --seeds 3
    python -m benchmarks.photographs bccd --source BCCD_Dataset/BCCD --weights none sequencer2d_nano_tiny

Each set is imported (`mmseq import-data`), trained on (`mmseq train --data`) and tested on its test images, or on its
validation images where it has none. The same command again continues: what is finished is not run twice. The result is
a table, and a JSON file with every figure, command, time and the processor.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

import torch

from mmseq.files import write_json

CAMVID = 'sky building pole road pavement tree sign fence car pedestrian bicyclist'
FAMILIES = ('seq2d', 'shiftvit', 'vil', 'vsequencer')


@dataclass(frozen=True)
class Set:
    """One set of photographs and how it is trained on.

    Args:
        head: of the nano config.
        metric: the figure that counts.
        epochs: of a training.
        size: in pixels, for `--image-size`.
        importing: options of `mmseq import-data`.
        options: further `--cfg-options`.
    """

    head: str
    metric: str
    epochs: int
    size: int
    importing: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


def scales(px: int) -> tuple[str, ...]:
    """Crops from images of half to twice their size, and tests at full size."""
    train = f'train_dataloader.dataset.pipeline.2.scale=({px},{px})'
    tests = (f'{part}_dataloader.dataset.pipeline.1.scale=({px},{px})' for part in ('val', 'test'))
    return (train, 'train_dataloader.dataset.pipeline.2.ratio_range=(0.5,2.0)', *tests)


SETS = {
    'camvid': Set('upernet', 'mIoU', 10, 240, ('--ignore', '11', '--classes', *CAMVID.split()), scales(480)),
    'bccd': Set('faster_rcnn', 'coco/bbox_mAP', 24, 320),
    'raccoon': Set('faster_rcnn', 'coco/bbox_mAP', 40, 320),
    'kangaroo': Set('faster_rcnn', 'coco/bbox_mAP', 40, 320),
}


def mmseq(*arguments: str, log: Path) -> str:
    """Run a command of mmseq, its output in a log; gives the command line."""
    line = ' '.join(('mmseq', *arguments))
    print(line, flush=True)
    with log.open('a') as file:
        print('$', line, file=file, flush=True)
        subprocess.run([sys.executable, '-m', 'mmseq', *arguments], stdout=file, stderr=subprocess.STDOUT, check=True)
    return line


def run(
    name: str, card: Path, family: str, weights: str, seed: int, folder: Path, epochs: int | None, given: Sequence[str]
) -> dict:
    """One training and its test; what is finished is read."""
    result, one, work_dir = folder / 'result.json', SETS[name], folder / 'run'
    if result.is_file():
        return json.loads(result.read_text())
    folder.mkdir(parents=True, exist_ok=True)
    common = ('--data', str(card), '--work-dir', str(work_dir), '--image-size', str(one.size))
    again = '--resume' if any(work_dir.glob('*.pth')) else '--anew'
    options = ('--cfg-options', *one.options, *backbone(weights), *given)
    config = f'mmseq::{one.head}_{family}_nano_shapes'
    started = time.monotonic()
    length = ('--epochs', str(epochs or one.epochs), '--seed', str(seed), again)
    lines = [mmseq('train', config, *common, *length, *options, log=folder / 'log.txt')]
    minutes = (time.monotonic() - started) / 60
    lines.append(mmseq('test', str(work_dir), log=folder / 'log.txt'))
    metrics = json.loads((work_dir / 'metrics.json').read_text())['metrics']
    found = dict(set=name, family=family, weights=weights, seed=seed, metrics=metrics, commands=lines)
    # Of the last start alone, where a run was interrupted.
    found |= dict(training_minutes=round(minutes, 1), resumed=again == '--resume', processor=processor())
    write_json(result, found)
    return found


def backbone(weights: str) -> list[str]:
    """What the backbone begins with, as options."""
    key = 'model.backbone.init_cfg'
    return [f'{key}=None'] if weights == 'none' else [f'{key}.type=Pretrained', f'{key}.checkpoint=mmseq://{weights}']


def processor() -> str:
    """The processor's name, with what torch uses of it."""
    lines = Path('/proc/cpuinfo').read_text().splitlines()
    names = [line.partition(':')[2].strip() for line in lines if line.startswith('model name')]
    level, threads = torch.backends.cpu.get_cpu_capability(), torch.get_num_threads()
    return f'{names[0] if names else "unknown"}, {level}, {threads} threads'


def table(rows: Sequence[dict], metric: str) -> str:
    """Mean and standard deviation over the seeds, a line for each family and weights."""
    lines = [f'{"":12}{"weights":28}{metric:>16}  seeds']
    for family, weights in dict.fromkeys((row['family'], row['weights']) for row in rows):
        values = [row['metrics'][metric] for row in rows if (row['family'], row['weights']) == (family, weights)]
        spread = f' +- {stdev(values):.3g}' if len(values) > 1 else ''
        lines.append(f'{family:12}{weights:28}{f"{fmean(values):.4g}{spread}":>16}  {len(values)}')
    return '\n'.join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('set', choices=SETS)
    parser.add_argument('--source', required=True, help='folder of the set, as its authors publish it')
    parser.add_argument('--families', nargs='+', choices=FAMILIES, default=['seq2d'])
    parser.add_argument('--weights', nargs='+', default=['none', 'sequencer2d_nano_tiny'])
    parser.add_argument('--seeds', type=int, default=1)
    parser.add_argument('--epochs', type=int, help='of each training (default: of the set)')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/photographs'))
    parser.add_argument('--result', type=Path, help='JSON file for the figures')
    parser.add_argument('--cfg-options', nargs='+', default=[])
    args = parser.parse_args()
    root = args.work_dir / args.set
    card = root / 'data' / 'card.yaml'
    if not card.is_file():
        root.mkdir(parents=True, exist_ok=True)
        out = ('--out', str(card.parent))
        mmseq('import-data', args.source, *out, *SETS[args.set].importing, log=root / 'import.txt')
    rows = [
        run(
            args.set,
            card,
            family,
            weights,
            seed,
            root / f'{family}_{weights}_seed{seed}',
            args.epochs,
            args.cfg_options,
        )
        for family in args.families
        for seed in range(args.seeds)
        for weights in args.weights
    ]
    print(table(rows, SETS[args.set].metric))
    if args.result:
        write_json(args.result, dict(runs=rows))
    return 0


if __name__ == '__main__':
    sys.exit(main())

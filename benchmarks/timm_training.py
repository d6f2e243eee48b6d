"""The Sequencer authors' commands through timm's own training script, with our registered models, a few steps each.

    git clone https://github.com/huggingface/pytorch-image-models
    python -m benchmarks.timm_training pytorch-image-models/train.py

timm's wheel has no script: without its path nothing is run, and the reason is printed. The commands are those of the
authors' README (github.com/okojoalg/sequencer): from scratch, fine-tuning at 392 px, transfer to a data set of few
classes in torchvision's class folders, as CIFAR, Flowers and Cars are laid out. Changed in them are the arch, which is
``nano``, the number of images and epochs, and what needs a GPU; ``--native-amp`` is ``--amp`` today and is left out.
Images are noise: the losses say that it runs, and nothing else.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from PIL import Image

import mmseq.timm
from mmseq.files import write_json

RESULTS = Path(__file__).parent / 'results' / 'timm_training.json'
# Registers our models, and runs the script as it is.
START = 'import runpy, sys, mmseq.timm; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name="__main__")'
AUGMENTED = (
    '--opt adamw --sched cosine --remode pixel --aa rand-m9-mstd0.5-inc1 --smoothing 0.1 --mixup 0.8 --cutmix 1.0'
)
COMMANDS = {
    'from scratch': f'{AUGMENTED} --img-size 224 --drop-path 0.1 --lr 2e-3 --weight-decay 0.05 --reprob 0.25 '
    '--warmup-lr 1e-6',
    'fine-tuning at 392 px': f'{AUGMENTED} --pretrained --input-size 3 392 392 --img-size 392 --crop-pct 1.0 '
    '--drop-path 0.4 --lr 5e-5 --weight-decay 1e-8 --reprob 0.25 --cooldown-epochs 0',
    'transfer': f'{AUGMENTED} --pretrained --img-size 224 --clip-grad 1 --drop-path 0.1 --lr 0.0001 '
    '--weight-decay 1e-4 --warmup-lr 1e-6',
}
SMALLER = '-b 2 -j 0 --epochs 1 --warmup-epochs 0 --device cpu --no-prefetcher --log-interval 1'
CLASSES, IMAGES = 3, 2


def write_images(root: Path) -> None:
    """Class folders of noise, in the halves that timm looks for."""
    draw = np.random.default_rng(0)
    for half in ('train', 'validation'):
        for number in range(CLASSES):
            folder = root / half / f'class_{number}'
            folder.mkdir(parents=True)
            for i in range(IMAGES):
                Image.fromarray(draw.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(folder / f'{i}.png')


def train(script: Path, name: str, options: Sequence[str], folder: Path) -> dict[str, Any]:
    """Run the script once; gives what it says of its last epoch.

    Raises:
        RuntimeError: it failed, with the end of what it printed.
    """
    command = [sys.executable, '-c', START, str(script), str(folder / 'images'), '--model', name]
    command += [*options, *SMALLER.split(), '--num-classes', str(CLASSES), '--output', str(folder / 'output')]
    environment = os.environ | {'PYTHONPATH': str(Path(__file__).parents[1])}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    found = re.search(r'^--result\n(.*)', done.stdout, re.MULTILINE | re.DOTALL)
    if done.returncode or not found:
        raise RuntimeError(f'{name} {" ".join(options)}: {(done.stderr or done.stdout)[-2000:]}')
    last: dict[str, Any] = json.loads(found[1])[-1]
    return last


def run_all(script: Path, folder: Path) -> list[dict[str, Any]]:
    """Every family from scratch, and Sequencer2D through the other commands."""
    write_images(folder / 'images')
    rows = []
    for family in mmseq.timm.FAMILIES:
        name = mmseq.timm.model_name(family, 'nano')
        for title, options in COMMANDS.items():
            given = options.split()
            if title != 'from scratch':
                if family != 'sequencer2d':
                    continue
                torch.save(timm.create_model(name).state_dict(), folder / 'weights.pth')
                given += ['--pretrained-path', str(folder / 'weights.pth')]
            result = train(script, name, given, folder)
            rows.append(
                dict(model=name, command=title, loss=result['train']['loss'], top1=result['validation']['top1'])
            )
            print(rows[-1], flush=True)
    return rows


def main() -> int:
    """Returns 0, also where there is no script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('script', nargs='?', type=Path, help="timm's train.py")
    parser.add_argument('--out', type=Path, default=RESULTS, help='JSON file to write')
    args = parser.parse_args()
    if args.script is None or not args.script.is_file():
        print(f"skipped: {args.script or 'no script'} is not there; timm's wheel has none, its repository has train.py")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        rows = run_all(args.script, Path(folder))
    print(write_json(args.out, dict(timm=timm.__version__, torch=torch.__version__, rows=rows)))
    return 0


if __name__ == '__main__':
    sys.exit(main())

"""Everything from end to end on generated data: make the data, train, evaluate, draw, list the results."""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from mmseq.cli import command_parser
from mmseq.engine.torchrun import of_child
from mmseq.errors import InputError

# Config, length of a training that starts from pretrained weights, metrics that it must reach, and metrics to show.
BOXES, MASKS = 'coco/bbox_mAP', 'coco/segm_mAP'
RUNS = (
    ('upernet_seq2d_nano_shapes', 'train_cfg.max_iters=800', {'mIoU': 60.0}, ('mIoU', 'aAcc')),
    ('mask_rcnn_seq2d_nano_shapes', 'train_cfg.max_epochs=5', {BOXES: 0.20}, (BOXES, MASKS)),
)


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = command_parser(
        'demo',
        'Generate the shapes data set, train and evaluate Sequencer2D-nano in UperNet and in Mask R-CNN on this '
        'machine, and write metrics, curves and pictures. Takes some minutes on two CPU cores.',
        'mmseq demo --work-dir work_dirs/demo',
    )
    parser.add_argument(
        '--work-dir', type=Path, default=Path('work_dirs/demo'), help='output folder (default: work_dirs/demo)'
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Returns 0 if both models reach their metrics, else 1."""
    args = build_parser().parse_args(argv)
    # Imported late, so that --help does not wait for torch, matplotlib and Pillow.
    from mmseq.checkpoints.zoo import find_shipped

    start = time.monotonic()
    data = args.work_dir / 'data'
    environment = dict(os.environ, MMSEQ_DATA=str(data.resolve()))
    command(['make-shapes', str(data / 'shapes')], environment, 'data: embedded shapes')
    results: list[tuple[dict[str, float], Path]] = []
    # The segmentor starts from the weights that ship for its backbone, the detector from the segmentor's.
    shipped = find_shipped('sequencer2d', 'nano')
    weights = shipped.address if shipped else None
    for config, length, _, _ in RUNS:
        metrics, folder, checkpoint = demonstrate(config, length, args.work_dir, environment, weights)
        results.append((metrics, folder))
        weights = checkpoint
    failed = []
    print(f'\n{"":34}{"":18}value  expected')
    for (config, _, floors, shown), (metrics, _) in zip(RUNS, results):
        for name in shown:
            floor = floors.get(name)
            print(f'{config:34}{name:18}{metrics[name]:5.3g}  {f"at least {floor:g}" if floor else ""}')
            if floor and not metrics[name] >= floor:
                failed.append(f'{config}: {name}')
    for _, folder in results:
        print(f'\nlook at {folder}/')
        for name in ('overview.png', 'curves.png', 'metrics.json', 'per_class.csv'):
            print(f'    {name}')
    print(f'\n{time.monotonic() - start:.0f} s in all' + ('' if not failed else f'; NOT LEARNED: {", ".join(failed)}'))
    return int(bool(failed))


def demonstrate(
    config: str, length: str, work_dir: Path, environment: dict[str, str], weights: str | None
) -> tuple[dict[str, float], Path, str]:
    """Train and test one config, whose backbone begins with these weights, or with random ones.

    Returns:
        Its test metrics, its folder and its checkpoint.
    """
    folder = work_dir / config
    path = f'mmseq::{config}'
    common = ['--work-dir', str(folder)]
    begin = ('model.backbone.init_cfg.type=Pretrained', f'model.backbone.init_cfg.checkpoint={weights}')
    # From random weights the config's own length is needed.
    options = ['--cfg-options', length, *begin] if weights else []
    command(['train', path, '--anew', *common, *options], environment, f'{config}: training')
    checkpoint = (folder / 'last_checkpoint').read_text().strip()
    pictures = folder / 'pictures'
    command(['test', path, checkpoint, '--show-dir', str(pictures), *common], environment, f'{config}: testing')
    from mmseq.pictures.contact_sheet import contact_sheet

    contact_sheet(pictures, folder / 'overview.png')
    return json.loads((folder / 'metrics.json').read_text())['metrics'], folder, checkpoint


def command(arguments: list[str], environment: dict[str, str], title: str) -> None:
    """Run a command of mmseq, whose output is shown as it comes.

    Raises:
        InputError: the command failed.
    """
    print(f'\n== {title}\n   mmseq {" ".join(arguments)}', flush=True)
    status = subprocess.run(
        [sys.executable, '-m', 'mmseq', *arguments], env=environment | of_child(environment)
    ).returncode
    if status:
        raise InputError(f'mmseq {arguments[0]} ended with status {status}; its last lines are above')

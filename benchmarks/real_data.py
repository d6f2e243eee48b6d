"""Train, evaluate and resume configs on real images in two processes: proof that every part meets, no benchmark.

Each config trains 20 iterations on a few small images from random weights and evaluates; then the checkpoint of
iteration 10 is resumed in a fresh work dir, and its losses must be those of the first run.

    python benchmarks/real_data.py configs/upernet_shiftvit_t_ade20k.py configs/mask_rcnn_vil_t_coco.py --data data
"""

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
COMMON = (
    'model.backbone.init_cfg=None',
    'train_dataloader.num_workers=1',
    'val_dataloader.num_workers=1',
    'default_hooks.logger.interval=1',
    'default_hooks.checkpoint.max_keep_ckpts=9',
)
# What makes a task small, the checkpoint to resume from, and the metric that an evaluation must yield.
SEGMENTATION = (
    (
        'train_dataloader.batch_size=2',
        'train_cfg.max_iters=20',
        'train_cfg.val_interval=20',
        'default_hooks.checkpoint.interval=10',
        'train_dataloader.dataset.pipeline.2.scale=(512,256)',
        'train_dataloader.dataset.pipeline.3.crop_size=(256,256)',
        'val_dataloader.dataset.indices=4',
        'val_dataloader.dataset.pipeline.1.scale=(512,256)',
    ),
    'iter_10.pth',
    'mIoU',
)
DETECTION = (
    (
        'train_dataloader.batch_size=1',
        'train_dataloader.dataset.indices=20',
        'train_cfg.max_epochs=2',
        'train_cfg.val_interval=2',
        'train_dataloader.dataset.pipeline.2.scale=(448,256)',
        'val_dataloader.dataset.indices=4',
        'val_dataloader.dataset.pipeline.1.scale=(448,256)',
    ),
    'epoch_1.pth',
    'coco/bbox_mAP',
)


def train(config: str, work_dir: Path, data: Path, options: list[str], extra: list[str]) -> None:
    command = ['tools/dist_train.sh', config, '2', '--seed', '0', '--work-dir', str(work_dir), *extra]
    environment = dict(os.environ, MMSEQ_DATA=str(data.resolve()), PYTHON=sys.executable)
    work_dir.mkdir(parents=True, exist_ok=True)
    with (work_dir / 'output.txt').open('w') as output:
        status = subprocess.run(
            [*command, '--cfg-options', *options], cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT
        ).returncode
    if status:
        raise SystemExit(f'{config}: training ended with status {status}; see {work_dir}/output.txt')


def losses(work_dir: Path) -> list[float]:
    """The loss of every logged training iteration."""
    records = [json.loads(line) for path in work_dir.glob('*/vis_data/scalars.json') for line in path.open()]
    return [record['loss'] for record in records if 'loss' in record]


def prove(config: str, work_dir: Path, data: Path, extra: list[str]) -> dict:
    task, checkpoint, metric = SEGMENTATION if 'ade20k' in config else DETECTION
    options = [*COMMON, *task, *extra]
    shutil.rmtree(work_dir, ignore_errors=True)
    start = time.monotonic()
    train(config, work_dir / 'whole', data, options, [])
    train(config, work_dir / 'resumed', data, options, ['--resume', str(work_dir / 'whole' / checkpoint)])
    whole, resumed = losses(work_dir / 'whole'), losses(work_dir / 'resumed')
    metrics = [json.loads((work_dir / part / 'metrics.json').read_text()) for part in ('whole', 'resumed')]
    if not all(metric in entry['metrics'] for entry in metrics):
        # mmdet's metric has no figure for a model that predicts nothing.
        advice = 'model.test_cfg.rcnn.score_thr=0 makes it predict'
        raise SystemExit(f'{config}: no {metric} in {work_dir}/*/metrics.json; {advice}')
    values = [entry['metrics'][metric] for entry in metrics]
    result = {
        'config': config,
        'cfg_options': options,
        'losses': whole,
        'resumed_losses': resumed,
        'resumed_equals_whole': len(resumed) == 10 and whole[-10:] == resumed and values[0] == values[1],
        'all_finite': len(whole) == 20 and all(map(math.isfinite, whole)),
        metric: values,
        'seconds': round(time.monotonic() - start),
        'versions': metrics[0]['versions'],
    }
    if not (result['resumed_equals_whole'] and result['all_finite']):
        raise SystemExit(f'{config}: losses {whole}, resumed {resumed}, {metric} {values}')
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('configs', nargs='+')
    parser.add_argument('--data', type=Path, default=Path('data'), help='folder that holds coco/ and ade/')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/real_data'))
    parser.add_argument('--result', type=Path, help='JSON file for the figures; runs are added to what it holds')
    parser.add_argument('--name', help="the run's name in the result; default: the config's")
    parser.add_argument('--cfg-options', nargs='+', default=[])
    args = parser.parse_args()
    for config in args.configs:
        name = args.name or Path(config).stem
        result = prove(config, args.work_dir.resolve() / name, args.data, args.cfg_options)
        print(f'{name}: loss {result["losses"][0]:.4f} to {result["losses"][-1]:.4f}, resumed alike', flush=True)
        if args.result:
            results = json.loads(args.result.read_text()) if args.result.exists() else {}
            results[name] = result
            args.result.parent.mkdir(parents=True, exist_ok=True)
            args.result.write_text(json.dumps(results, indent=2) + '\n')
    return 0


if __name__ == '__main__':
    sys.exit(main())

"""Overfit a config to a few real images and evaluate on the same: proof that labels, coordinates and losses agree.

A model that sees boxes, masks or labels at the wrong place, or a loss with the wrong sign, cannot overfit a handful of
images. This is no benchmark of a model: the figure says nothing about images it has not seen.

    python benchmarks/memorise.py configs/upernet_seq2d_s_ade20k.py --data data --images 8 --cfg-options KEY=VALUE ...
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


def subset_coco(source: Path, target: Path, count: int) -> None:
    """The first images with annotations, as training and as validation set."""
    content = json.loads((source / 'annotations/instances_train2017.json').read_text())
    annotated = {annotation['image_id'] for annotation in content['annotations'] if not annotation['iscrowd']}
    content['images'] = [image for image in content['images'] if image['id'] in annotated][:count]
    ids = {image['id'] for image in content['images']}
    content['annotations'] = [annotation for annotation in content['annotations'] if annotation['image_id'] in ids]
    (target / 'annotations').mkdir(parents=True)
    for half in ('train2017', 'val2017'):
        (target / half).mkdir()
        (target / f'annotations/instances_{half}.json').write_text(json.dumps(content))
        for image in content['images']:
            shutil.copy(source / 'train2017' / image['file_name'], target / half)


def subset_ade(source: Path, target: Path, count: int) -> None:
    """The first training images, as training and as validation set."""
    names = sorted(path.stem for path in (source / 'images/training').glob('*.jpg'))[:count]
    for kind, suffix in (('images', '.jpg'), ('annotations', '.png')):
        for half in ('training', 'validation'):
            (target / kind / half).mkdir(parents=True)
            for name in names:
                shutil.copy(source / kind / 'training' / f'{name}{suffix}', target / kind / half)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config')
    parser.add_argument('--data', type=Path, default=Path('data'), help='folder that holds coco/ and ade/')
    parser.add_argument('--images', type=int, default=8)
    parser.add_argument('--work-dir', type=Path, help='default: work_dirs/memorise/<config name>')
    parser.add_argument('--result', type=Path, help='JSON file for the figures')
    parser.add_argument('--cfg-options', nargs='+', default=[])
    args = parser.parse_args()
    work_dir = args.work_dir or Path('work_dirs/memorise') / Path(args.config).stem
    shutil.rmtree(work_dir / 'data', ignore_errors=True)
    if 'ade20k' in args.config:
        name = 'ade/ADEChallengeData2016'
        subset_ade(args.data / name, work_dir / 'data' / name, args.images)
    else:
        subset_coco(args.data / 'coco', work_dir / 'data' / 'coco', args.images)
    run = work_dir / 'run'
    command = ['tools/train.py', args.config, '--work-dir', str(run), '--anew', '--cfg-options', *args.cfg_options]
    start = time.monotonic()
    environment = dict(os.environ, MMSEQ_DATA=str((work_dir / 'data').resolve()))
    status = subprocess.run([sys.executable, *command], cwd=ROOT, env=environment).returncode
    if status:
        return status
    metrics = json.loads((run / 'metrics.json').read_text())
    result = {
        'what': 'evaluation on the training images; proof of the pipeline, no benchmark',
        'config': args.config,
        'images': args.images,
        'cfg_options': args.cfg_options,
        'seconds': round(time.monotonic() - start),
        'metrics': metrics['metrics'],
        'versions': metrics['versions'],
    }
    print(json.dumps(result, indent=2))
    if args.result:
        args.result.parent.mkdir(parents=True, exist_ok=True)
        args.result.write_text(json.dumps(result, indent=2) + '\n')
    return 0


if __name__ == '__main__':
    sys.exit(main())

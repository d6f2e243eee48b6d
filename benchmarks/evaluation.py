"""COCO's evaluation at the size of real data sets: pycocotools and what is faster, alone and with our records.

    python -m benchmarks.evaluation data/coco/annotations/instances_val2017.json --images 500 2500

Each side evaluates the same detections (truth that is shifted and given other classes, and noise) of boxes and masks
from beginning to end, with mmseq's metric, in a process of its own. Arrays of precision, recall and scores are
compared bit by bit with those of pycocotools. Writes benchmarks/results/evaluation.json.
"""

import argparse
import json
import pickle
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.coco_size import Source
from mmseq.files import write_json

RESULT = Path(__file__).parent / 'results' / 'evaluation.json'
EVALUATORS = ('pycocotools', 'ultrafast_pycocotools', 'faster_coco_eval')
# Of evaluators whose matches our records can read.
RECORDED = EVALUATORS[:2]
ARRAYS = ('precision', 'recall', 'scores')


def detections(content: dict[str, Any], per_image: int, seed: int) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Truth and prediction of every image as mmdet's metric keeps them: two in three from truth, the others noise."""
    from pycocotools import mask as rle

    random = np.random.default_rng(seed)
    categories = len(content['categories'])
    label = {category['id']: i for i, category in enumerate(content['categories'])}
    of_image: dict[int, list[dict[str, Any]]] = {image['id']: [] for image in content['images']}
    for annotation in content['annotations']:
        if not annotation['iscrowd']:
            of_image[annotation['image_id']].append(annotation)
    results = []
    for image in content['images']:
        height, width = image['height'], image['width']
        polygons, labels = [], []
        for i in range(per_image):
            own = of_image[image['id']]
            if own and i % 3 < 2:
                annotation = own[int(random.integers(len(own)))]
                shift = random.normal(0, 0.06, 2) * annotation['bbox'][2:]
                points = [np.asarray(part).reshape(-1, 2) + shift for part in annotation['segmentation']]
                labels.append(label[annotation['category_id']])
            else:
                x, y = random.uniform(0, (width * 0.8, height * 0.8))
                w, h = random.uniform(0.02, 0.4, 2) * (width, height)
                points = [np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]])]
                labels.append(0)
            if random.random() < 0.3 or not own:
                labels[-1] = int(random.integers(categories))
            polygons.append([part.clip(0, (width, height)).ravel().tolist() for part in points])
        masks = [rle.merge(rle.frPyObjects(parts, height, width)) for parts in polygons]
        boxes = np.asarray(rle.toBbox(masks))
        boxes[:, 2:] += boxes[:, :2]
        truth = dict(width=width, height=height, img_id=image['id'])
        # of two digits, so that some are equal
        scores = random.uniform(0.05, 1, per_image).round(2 if image['id'] % 2 else 7).astype(np.float32)
        found = dict(bboxes=boxes.astype(np.float32), scores=scores, labels=np.array(labels), masks=masks)
        results.append((truth, found | dict(img_id=image['id'])))
    return results


def evaluate(folder: Path, evaluator: str, records: bool) -> dict[str, Any]:
    """One side, in this process."""
    from mmdet.evaluation.metrics import coco_metric
    from pycocotools.cocoeval import COCOeval

    from mmseq.evaluation import coco
    from mmseq.evaluation.recorders import attach

    if evaluator == 'faster_coco_eval':
        from faster_coco_eval.core.faster_eval_api import COCOeval as FasterEval

        coco_metric.COCOeval = FasterEval
        kept = FasterEval
    else:
        kept = COCOeval
    if evaluator != 'ultrafast_pycocotools':
        coco.quicken = lambda _: None
    summarize = kept.summarize

    def keep(self: Any) -> None:
        summarize(self)
        arrays = {name: np.asarray(self.eval[name]) for name in ARRAYS}
        np.savez(folder / f'{evaluator}_{records}_{self.params.iouType}.npz', stats=self.stats, **arrays)

    kept.summarize = keep
    content = json.loads((folder / 'truth.json').read_text())
    metric = coco.SoundCocoMetric(ann_file=str(folder / 'truth.json'), metric=['bbox', 'segm'])
    metric.dataset_meta = {'classes': tuple(category['name'] for category in content['categories'])}
    del content
    recorder = attach(metric) if records else None
    # this script's own
    metric.results = pickle.loads((folder / 'results.pkl').read_bytes())  # noqa: S301
    size = len(metric.results)
    if recorder:
        recorder._paths = [f'{i}.jpg' for i in range(size)]
    start, cpu = time.monotonic(), time.process_time()
    figures = metric.evaluate(size)
    seconds, cpu = time.monotonic() - start, time.process_time() - cpu
    if recorder:
        assert len(recorder.images.rows) == size
        (folder / f'{evaluator}_records.json').write_text(
            json.dumps([recorder.table.rows, recorder.images.rows, recorder.confusion.rows, recorder.errors])
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return dict(seconds=round(seconds, 2), cpu_seconds=round(cpu, 2), peak_bytes=peak, figures=figures)


def measure(folder: Path, images: int, rounds: int) -> list[dict[str, Any]]:
    """All sides, in turns; the fastest round of each."""
    sides = [(evaluator, records) for evaluator in EVALUATORS for records in (False, True)]
    sides = [(evaluator, records) for evaluator, records in sides if evaluator in RECORDED or not records]
    rows: dict[tuple[str, bool], dict[str, Any]] = {}
    for _ in range(rounds):
        for evaluator, records in sides:
            command = [sys.executable, '-m', 'benchmarks.evaluation', '', '--side', evaluator, '--folder', str(folder)]
            command += ['--records'] if records else []
            output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            row = json.loads(output.splitlines()[-1])
            old = rows.get((evaluator, records))
            if old is None or row['seconds'] < old['seconds']:
                rows[evaluator, records] = row
            print(images, evaluator, 'with records' if records else '', row, flush=True)
    for (evaluator, records), row in rows.items():
        row |= dict(images=images, evaluator=evaluator, records=records)
        row['differences'] = {kind: difference(folder, evaluator, records, kind) for kind in ('bbox', 'segm')}
    both = [folder / f'{evaluator}_records.json' for evaluator in RECORDED]
    assert both[0].read_text() == both[1].read_text(), 'records differ'
    return list(rows.values())


def difference(folder: Path, evaluator: str, records: bool, kind: str) -> dict[str, Any]:
    """Largest differences to pycocotools' arrays; 0 is said of equal bits alone."""
    ours, judge = (np.load(folder / f'{name}_{kind}.npz') for name in (f'{evaluator}_{records}', 'pycocotools_False'))
    equal = {name: ours[name].tobytes() == judge[name].tobytes() for name in ARRAYS}
    found = {name: 0 if equal[name] else float(np.abs(ours[name] - judge[name]).max()) for name in ARRAYS}
    return found | {'figures_equal': ours['stats'][:12].tolist() == judge['stats'].tolist()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('source', help='a small COCO file with masks')
    parser.add_argument('--images', type=int, nargs='+', default=[500, 2500])
    parser.add_argument('--detections', type=int, default=60, help='of each image')
    parser.add_argument('--rounds', type=int, default=1)
    parser.add_argument('--out', type=Path, default=RESULT)
    parser.add_argument('--side', help=argparse.SUPPRESS)
    parser.add_argument('--records', action='store_true', help=argparse.SUPPRESS)
    parser.add_argument('--folder', type=Path, help='where to keep what is generated')
    args = parser.parse_args()
    if args.side:
        print(json.dumps(evaluate(args.folder, args.side, args.records)))
        return
    rows = []
    for images in args.images:
        with TemporaryDirectory(dir=args.folder) as folder:
            content = Source(json.loads(Path(args.source).read_text())).enlarged(images)
            (Path(folder) / 'truth.json').write_text(json.dumps(content))
            results = detections(content, args.detections, seed=0)
            (Path(folder) / 'results.pkl').write_bytes(pickle.dumps(results))
            rows += measure(Path(folder), images, args.rounds)
            write_json(args.out, dict(detections=args.detections, rows=rows))


if __name__ == '__main__':
    main()

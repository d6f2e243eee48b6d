"""A thousand damaged images and annotation files: the data check and the loader count them, none ends in a traceback.

MMSEQ_RESULTS=benchmarks/results/faults_data.json writes the figures down.
"""

import copy
import json
import os
import shutil
import subprocess
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from PIL import Image
from torch.utils.data import DataLoader

from mmseq.datasets.checks import Use, examine_coco, examine_seg
from mmseq.datasets.shapes import SEG_CLASSES, SHAPES_CLASSES, generate
from mmseq.datasets.tolerant import TolerantDataset
from tests.faults.figures import record
from tests.faults.plant import IMAGE_FAULTS, flip_bits, plant, seed
from tests.nursery import Nursery

ROOT = Path(__file__).parents[2]
IMAGES = 500
FAULTS = [*IMAGE_FAULTS, 'wrong_size']


@pytest.fixture(scope='module')
def pristine(tmp_path_factory) -> Path:
    return generate(tmp_path_factory.mktemp('bad') / 'shapes', train=IMAGES, val=1, size=(64, 72)).root


@pytest.fixture(scope='module')
def damaged(pristine: Path, tmp_path_factory) -> tuple[Path, dict[str, dict[str, str]]]:
    """The data with every second image of both sets, and every fifth label map, damaged, half of them as JPEG."""
    root = shutil.copytree(pristine, tmp_path_factory.mktemp('damaged') / 'shapes')
    planted: dict[str, dict[str, str]] = {'coco': {}, 'seg': {}, 'labels': {}}
    ade = root / 'ade/ADEChallengeData2016'
    folders = {'coco': root / 'coco/train2017', 'seg': ade / 'images/training', 'labels': ade / 'annotations/training'}
    for name, folder in folders.items():
        step = 5 if name == 'labels' else 2
        # Label maps of images that are damaged themselves would be counted twice over.
        start = 1 if name == 'labels' else 0
        paths = [path for k, path in enumerate(sorted(folder.iterdir())) if k % step == start]
        if name == 'labels':
            paths = [path for path in paths if path.name not in planted['seg']]
        for number, path in enumerate(paths):
            draw = seed(name, number)
            if number % 2 and name != 'labels':
                # Decoders go by the content, not by the suffix.
                with Image.open(path) as image:
                    picture = image.convert('RGB')
                picture.save(path, 'JPEG')
            fault = FAULTS[number % len(FAULTS)]
            plant(path, fault, draw)
            planted[name][path.name] = fault
    return root, planted


def folders(root: Path) -> tuple[str, str]:
    ade = root / 'ade/ADEChallengeData2016'
    return str(ade / 'images/training'), str(ade / 'annotations/training')


def kinds(planted: dict[str, str]) -> Counter:
    """Planted faults, those that may be told in two ways taken together."""
    groups = {'missing': 'missing', 'zero_bytes': 'zero_bytes', 'wrong_size': 'wrong_size'}
    return Counter(groups.get(fault, 'undecodable') for fault in planted.values())


def grouped(found: dict[str, int]) -> Counter:
    return Counter(
        {
            'missing': found.get('missing', 0),
            'zero_bytes': found.get('zero_bytes', 0),
            'wrong_size': found.get('wrong_size', 0),
            'undecodable': found.get('undecodable', 0) + found.get('truncated', 0),
        }
    )


def test_check_counts_detection_images(damaged) -> None:
    root, planted = damaged
    report = examine_coco(
        str(root / 'coco/annotations/instances_train2017.json'),
        str(root / 'coco/train2017'),
        SHAPES_CLASSES,
        len(SHAPES_CLASSES),
        sample=None,
    )
    assert +grouped(report.counts()) == kinds(planted['coco'])
    assert set(report.counts()) <= {'missing', 'zero_bytes', 'wrong_size', 'undecodable', 'truncated'}
    record('check_data, images of detection', {'planted': len(planted['coco']), 'found': report.counts()})


def test_check_counts_segmentation_images_and_maps(damaged) -> None:
    root, planted = damaged
    report = examine_seg(*folders(root), '.png', '.png', len(SEG_CLASSES), True, classes=SEG_CLASSES, sample=None)
    counts = report.counts()
    everything = {**{f'i{name}': fault for name, fault in planted['seg'].items()}, **planted['labels']}
    expected = kinds(everything)
    lost = sum(fault == 'missing' for fault in planted['labels'].values())
    gone = sum(fault == 'missing' for fault in planted['seg'].values())
    assert counts.pop('missing_labels') == lost
    # A folder listing cannot know an absent image, but sees the label map that is left.
    assert counts.pop('missing_images') == gone
    expected['missing'] = 0
    assert +grouped(counts) == +expected
    record(
        'check_data, images and label maps of segmentation',
        {
            'planted': len(everything),
            'found': report.counts(),
        },
    )


def pipeline(task: str) -> dict:
    if task == 'coco':
        return dict(
            type='CocoDataset',
            ann_file='coco/annotations/instances_train2017.json',
            data_prefix=dict(img='coco/train2017/'),
            metainfo=dict(classes=SHAPES_CLASSES),
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
                dict(type='RandomFlip', prob=0.5),
                dict(type='PackDetInputs'),
            ],
        )
    return dict(
        type='BaseSegDataset',
        data_prefix=dict(
            img_path='ade/ADEChallengeData2016/images/training',
            seg_map_path='ade/ADEChallengeData2016/annotations/training',
        ),
        metainfo=dict(classes=SEG_CLASSES),
        img_suffix='.png',
        reduce_zero_label=True,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackSegInputs'),
        ],
    )


@pytest.fixture(params=['coco', 'seg'])
def task(request):
    init_default_scope({'coco': 'mmdet', 'seg': 'mmseg'}[request.param])
    return request.param


def tolerant(task: str, root: Path, record: Path) -> TolerantDataset:
    return TolerantDataset(ConfigDict(data_root=str(root), **pipeline(task)), str(record))


@pytest.mark.parametrize('workers', [0, 2])
def test_loader_skips_counts_and_names(task: str, workers: int, damaged, tmp_path: Path) -> None:
    root, planted = damaged
    data = tolerant(task, root, tmp_path)
    start = time.monotonic()
    loader = DataLoader(data, batch_size=8, num_workers=workers, collate_fn=pseudo_collate)
    batches = [sample.img_path for batch in loader for sample in batch['data_samples']]
    seconds = time.monotonic() - start
    bad = dict(planted[task]) if task == 'coco' else {**planted['seg'], **planted['labels']}
    # Images that are not there are not in the list of a folder.
    present = {n for n, fault in bad.items() if task == 'coco' or n not in planted['seg'] or fault != 'missing'}
    lines = [json.loads(line) for line in (tmp_path / 'corrupt_files_rank0.jsonl').read_text().splitlines()]
    first = [line for line in lines if line['index'] == line['tried']]
    named = {Path(line['message'].split(': ')[0]).name for line in lines}
    assert named == present
    # Every damaged file is met at its own place, and again where it was drawn to stand in.
    assert len({line['index'] for line in first}) == len(present)
    assert int(data.counts[:, 0].sum()) == len(data)
    assert int(data.counts[:, 1].sum()) == len(lines)
    assert len(batches) == len(data)
    assert not {Path(path).name for path in batches} & set(bad)
    record(
        f'loader, {task}, {workers} workers',
        {
            'planted': len(present),
            'named': len(named),
            'met': len(lines),
            'samples': len(data),
            'seconds': round(seconds, 1),
        },
    )


def test_what_stands_in_depends_on_the_index_alone(task: str, damaged, tmp_path: Path) -> None:
    root, _ = damaged
    paths = []
    for order in (range(60), reversed(range(60))):
        data = tolerant(task, root, tmp_path)
        paths.append({index: data[index]['data_samples'].img_path for index in order})
        # Other draws in between change nothing.
        np.random.rand(3)
    assert paths[0] == paths[1]


def test_bit_flips_are_loaded_or_skipped(task: str, pristine: Path, tmp_path: Path) -> None:
    root = shutil.copytree(pristine, tmp_path / 'shapes')
    folder = root / 'coco/train2017' if task == 'coco' else Path(folders(root)[0])
    for number, path in enumerate(sorted(folder.iterdir())[:100]):
        path.write_bytes(flip_bits(path.read_bytes(), seed('flip', number)))
    data = tolerant(task, root, tmp_path)
    for index in range(100):
        assert data[index]['inputs'].dtype == torch.uint8
    skipped = int(data.counts[:, 1].sum())
    assert skipped > 20
    record(f'loader, {task}, images with flipped bits', {'planted': 100, 'met': skipped, 'tracebacks': 0})


def test_a_fault_of_the_pipeline_is_no_fault_of_the_data(pristine: Path, tmp_path: Path) -> None:
    init_default_scope('mmseg')
    data = tolerant('seg', pristine, tmp_path)
    data.dataset.pipeline.transforms.insert(1, lambda results: results['no such key'])
    with pytest.raises(KeyError, match='no such key'):
        data[0]
    assert int(data.counts[:, 1].sum()) == 0


ANNOTATION_FAULTS = {
    'image id': lambda c, d: d.choice(c['annotations']).update(image_id=10**6),
    'category id': lambda c, d: d.choice(c['annotations']).update(category_id=-1),
    'twin image': lambda c, d: c['images'].append(dict(c['images'][0])),
    'twin annotation': lambda c, d: c['annotations'].append(dict(d.choice(c['annotations']))),
    'twin category': lambda c, d: c['categories'].append(dict(c['categories'][0])),
    'no field': lambda c, d: d.choice(c['annotations']).pop(
        d.choice(['id', 'image_id', 'category_id', 'bbox', 'area'])
    ),
    'no image field': lambda c, d: d.choice(c['images']).pop(d.choice(['id', 'file_name', 'height', 'width'])),
    'id of another type': lambda c, d: d.choice(c['annotations']).update(id=d.choice([None, [1], {}, True])),
    'box of text': lambda c, d: d.choice(c['annotations']).update(bbox=['a', 1, 2, 3]),
    'box of three': lambda c, d: d.choice(c['annotations']).update(bbox=[1, 2, 3]),
    'box of nothing': lambda c, d: d.choice(c['annotations']).update(bbox=None),
    'box not finite': lambda c, d: d.choice(c['annotations']).update(bbox=[float('nan'), 1, 2, 3]),
    'boxes outside': lambda c, d: [a.update(bbox=[500, 500, 9, 9]) for a in c['annotations']],
    'boxes empty': lambda c, d: [a.update(bbox=[5, 5, 0, 9]) for a in c['annotations']],
    'size': lambda c, d: d.choice(c['images']).update(height=d.choice([0, -3, 1e9, 7, float('nan')])),
    'size of text': lambda c, d: d.choice(c['images']).update(height='x'),
    'name': lambda c, d: d.choice(c['images']).update(file_name=d.choice(['gone.png', '', '../x', 7, None])),
    'category name': lambda c, d: d.choice(c['categories']).update(name=d.choice(['blob', None, 3])),
    'rows': lambda c, d: c.update({d.choice(list(c)[-3:]): d.choice([[], {}, None, 1, [1], [None]])}),
    'no mask': lambda c, d: d.choice(c['annotations']).pop('segmentation'),
}


def test_broken_annotation_files(tmp_path: Path) -> None:
    """200 contents changed, 200 torn or with flipped bits: an error in one line, or a file that is still sound."""
    root = generate(tmp_path / 'shapes', train=6, val=1, size=(64, 72)).root
    path = root / 'coco/annotations/instances_train2017.json'
    whole = path.read_text()
    content = json.loads(whole)
    found: Counter = Counter()

    def examine() -> list:
        return examine_coco(
            str(path), str(root / 'coco/train2017'), SHAPES_CLASSES, len(SHAPES_CLASSES), use=Use(masks=True)
        ).errors()

    for number in range(200):
        fault = list(ANNOTATION_FAULTS)[number % len(ANNOTATION_FAULTS)]
        changed = copy.deepcopy(content)
        ANNOTATION_FAULTS[fault](changed, seed(fault, number))
        path.write_text(json.dumps(changed))
        errors = examine()
        assert errors, fault
        assert all('\n' not in error.message for error in errors)
        found[fault] += 1
    flipped = 0
    for number in range(200):
        draw = seed('json', number)
        raw = whole.encode()
        path.write_bytes(raw[: draw.randrange(len(raw))] if number % 2 else flip_bits(raw, draw))
        errors = examine()
        assert errors or number % 2 == 0
        assert all('\n' not in error.message for error in errors)
        flipped += bool(errors)
    record(
        'check_data, annotation files',
        {
            'planted': 400,
            'found': sum(found.values()) + flipped,
            'still sound after flipped bits': 200 - flipped,
            'tracebacks': 0,
        },
    )


def test_the_command_counts_and_exits_with_one(damaged, nursery: Nursery, tmp_path: Path) -> None:
    root, planted = damaged
    (tmp_path / 'data').mkdir()
    (tmp_path / 'data' / 'shapes').symlink_to(root)
    command = [nursery.commands / 'python', 'tools/check_data.py', 'configs/mask_rcnn_seq2d_nano_shapes.py', '--all']
    done = subprocess.run(
        [*command, '--work-dir', tmp_path / 'out'],
        cwd=ROOT,
        env=os.environ | {'MMSEQ_DATA': str(tmp_path / 'data'), 'PYTHONPATH': str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 1, done.stderr
    assert 'Traceback' not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    missing = sum(fault == 'missing' for fault in planted['coco'].values())
    assert last.startswith('error: ')
    assert f'{missing} of the {IMAGES} images' in last
    report = json.loads((tmp_path / 'out' / 'data_check.json').read_text())
    counts = {finding['kind']: finding['count'] for finding in report['datasets'][0]['findings']}
    assert +grouped(counts) == kinds(planted['coco'])

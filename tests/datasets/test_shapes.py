"""The embedded data set: the same everywhere, the same in both layouts, and readable by upstream's own loaders."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

import mmseq
from mmseq.datasets import shapes_scene
from mmseq.datasets.shapes import (
    PALETTE,
    SEG_CLASSES,
    SEG_PALETTE,
    SHAPES_CLASSES,
    _segmentation,
    content_digest,
    draw_contact_sheet,
    generate,
)
from mmseq.datasets.shapes_scene import Instance
from mmseq.errors import InputError

REPOSITORY = Path(mmseq.__file__).parents[1]
TRAIN, VAL = 24, 14
HALVES = {'train2017': ('training', TRAIN), 'val2017': ('validation', VAL)}
# Of generate(train=4, val=2, seed=7). Whoever changes it on purpose raises shapes.VERSION.
PINNED_DIGEST = '3e63fb0355da7bd0b88b9ab1cd7a084536654f83f48439cac1f6fa72909a7c3e'


@pytest.fixture(scope='module')
def root(tmp_path_factory) -> Path:
    return generate(tmp_path_factory.mktemp('shapes') / 'shapes', train=TRAIN, val=VAL).root


@pytest.fixture(params=HALVES)
def coco(root: Path, request) -> COCO:
    coco = COCO(root / 'coco' / 'annotations' / f'instances_{request.param}.json')
    coco.half = request.param
    return coco


def _labels(root: Path, half: str, file_name: str) -> np.ndarray:
    with Image.open(root / 'ade/ADEChallengeData2016/annotations' / HALVES[half][0] / file_name) as image:
        assert image.mode == 'L'
        return np.asarray(image)


def _snapshot(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob('*')) if path.is_file()}


def test_same_seed_same_files(tmp_path: Path) -> None:
    first, second = (generate(tmp_path / name, train=4, val=2, seed=7) for name in 'ab')
    assert _snapshot(first.root) == _snapshot(second.root)
    assert first.manifest['digest'] == content_digest(first.root)


def test_same_on_every_machine(tmp_path: Path) -> None:
    assert generate(tmp_path / 'a', train=4, val=2, seed=7).manifest['digest'] == PINNED_DIGEST


def test_other_seed_other_scenes(tmp_path: Path) -> None:
    first, second = (generate(tmp_path / str(seed), train=1, val=1, seed=seed) for seed in (0, 1))
    assert first.manifest['digest'] != second.manifest['digest']
    assert content_digest(first.root) != content_digest(second.root)


def test_larger_set_contains_the_smaller(root: Path, tmp_path: Path) -> None:
    small = generate(tmp_path / 'small', train=3, val=2).root / 'coco/train2017'
    contents = {path.name: path.read_bytes() for path in small.iterdir()}
    assert len(contents) == 3
    assert contents == {name: (root / 'coco/train2017' / name).read_bytes() for name in contents}


def test_halves_differ(root: Path) -> None:
    names = [root / 'coco' / half / '000000000001.png' for half in HALVES]
    assert names[0].read_bytes() != names[1].read_bytes()


def test_same_pictures_in_both_layouts(root: Path) -> None:
    for half, (ade_half, count) in HALVES.items():
        ade = root / 'ade/ADEChallengeData2016/images' / ade_half
        names = sorted(path.name for path in ade.iterdir())
        assert len(names) == count
        assert names == sorted(path.name for path in (root / 'coco' / half).iterdir())
        assert all((ade / name).read_bytes() == (root / 'coco' / half / name).read_bytes() for name in names)


def test_masks_are_disjoint_and_equal_the_label_map(root: Path, coco: COCO) -> None:
    overlaps = 0
    for image in coco.loadImgs(coco.getImgIds()):
        labels = _labels(root, coco.half, image['file_name'])
        assert labels.shape == (image['height'], image['width'])
        painted = np.zeros_like(labels)
        for ann in coco.loadAnns(coco.getAnnIds(imgIds=image['id'])):
            mask = coco.annToMask(ann).astype(bool)
            assert not painted[mask].any(), 'two instances share a pixel'
            painted[mask] = ann['category_id'] + 1
            rows, columns = np.nonzero(mask)
            assert ann['area'] == mask.sum() >= shapes_scene.MIN_VISIBLE_PIXELS
            left, top, width, height = ann['bbox']
            assert (left, top) == (columns.min(), rows.min())
            assert (left + width, top + height) == (columns.max() + 1, rows.max() + 1)
            boxes = [other['bbox'] for other in coco.imgToAnns[image['id']] if other is not ann]
            overlaps += any(_meet(ann['bbox'], box) for box in boxes)
        assert np.array_equal(painted[painted > 0], labels[painted > 0])
        assert set(np.unique(labels[painted == 0])) <= {0, 1}
    assert overlaps >= 10, 'the scenes hold too few overlapping shapes to mean anything'


def _meet(a: list[int], b: list[int]) -> bool:
    return all(a[k] < b[k] + b[k + 2] and b[k] < a[k] + a[k + 2] for k in (0, 1))


def test_upper_shapes_hide_lower_ones() -> None:
    hidden = 0
    for index in range(10):
        rng = np.random.Generator(np.random.PCG64(index))
        layers = shapes_scene._place(rng, 120, 150, with_crowd=False)
        for position, layer in enumerate(layers):
            above = np.any([np.zeros((120, 150), bool), *(upper.mask for upper in layers[position + 1 :])], axis=0)
            visible = (layer.mask & ~above).sum()
            hidden += bool((layer.mask & above).any())
            assert visible >= shapes_scene.MIN_VISIBLE_FRACTION * layer.area
    assert hidden


def test_ignored_pixels_only_beside_crowds(root: Path, coco: COCO) -> None:
    seen = 0
    for image in coco.loadImgs(coco.getImgIds()):
        ignored = (_labels(root, coco.half, image['file_name']) == shapes_scene.IGNORE_LABEL).sum()
        crowds = coco.getAnnIds(imgIds=image['id'], iscrowd=True)
        assert bool(ignored) == bool(crowds)
        seen += bool(crowds)
    assert seen


def test_polygons_and_both_kinds_of_rle(coco: COCO) -> None:
    anns = coco.loadAnns(coco.getAnnIds())
    kinds = {_kind(ann) for ann in anns}
    assert {'polygon', 'polygons', 'compressed', 'crowd'} == kinds
    assert sum(_kind(ann) in ('polygon', 'polygons') for ann in anns) > 0.6 * len(anns)
    ring = SHAPES_CLASSES.index('ring') + 1
    assert any(_kind(ann) == 'compressed' and ann['category_id'] == ring for ann in anns)


def _kind(ann: dict) -> str:
    segmentation = ann['segmentation']
    if isinstance(segmentation, list):
        assert all(len(polygon) >= 6 and len(polygon) % 2 == 0 for polygon in segmentation)
        return 'polygons' if len(segmentation) > 1 else 'polygon'
    assert ann['iscrowd'] == isinstance(segmentation['counts'], list)
    return 'crowd' if ann['iscrowd'] else 'compressed'


def _decode(segmentation: list | dict, shape: tuple[int, int]) -> np.ndarray:
    coco = COCO()
    coco.imgs = {1: {'height': shape[0], 'width': shape[1]}}
    return coco.annToMask({'image_id': 1, 'segmentation': segmentation}).astype(bool)


@pytest.mark.parametrize('is_crowd', [False, True])
def test_any_mask_survives_being_written(is_crowd: bool) -> None:
    """Also ragged ones, with holes, parts that touch by a corner, single pixels and pixels on the border."""
    rng = np.random.default_rng(0)
    masks = [rng.random((9, 13)) < density for density in np.linspace(0.05, 0.98, 60)]
    masks += [np.ones((3, 4), bool), np.eye(5, dtype=bool), ~np.eye(5, dtype=bool)]
    kinds = set()
    for mask in masks:
        segmentation = _segmentation(Instance(0, mask, is_crowd))
        assert np.array_equal(_decode(json.loads(json.dumps(segmentation)), mask.shape), mask)
        kinds.add(type(segmentation))
    assert kinds == ({dict} if is_crowd else {dict, list})


def test_polygon_without_staircase() -> None:
    """A diagonal edge is one line, not a step per pixel."""
    triangle = np.tri(40, dtype=bool)
    (polygon,) = _segmentation(Instance(0, triangle, False))
    assert len(polygon) <= 2 * 8


def test_parts_that_touch_by_a_corner_are_polygons_of_their_own() -> None:
    blocks = np.kron(np.eye(3, dtype=bool), np.ones((4, 4), dtype=bool))
    assert len(_segmentation(Instance(0, blocks, False))) == 3


def test_ids_and_categories(coco: COCO) -> None:
    assert coco.getImgIds() == list(range(1, HALVES[coco.half][1] + 1))
    assert coco.getAnnIds() == list(range(1, len(coco.anns) + 1))
    assert [(c['id'], c['name']) for c in coco.loadCats(coco.getCatIds())] == list(enumerate(SHAPES_CLASSES, 1))
    assert len(PALETTE) == len(SHAPES_CLASSES) >= 6
    assert ('background', *SHAPES_CLASSES) == SEG_CLASSES
    assert len(SEG_PALETTE) == len(SEG_CLASSES)


@pytest.mark.parametrize('kind', ['bbox', 'segm'])
def test_ground_truth_scores_one(coco: COCO, kind: str) -> None:
    found = [
        {
            'image_id': ann['image_id'],
            'category_id': ann['category_id'],
            'bbox': ann['bbox'],
            'segmentation': coco.annToRLE(ann),
            'score': 1.0,
        }
        for ann in coco.anns.values()
        if not ann['iscrowd']
    ]
    if kind == 'bbox':
        for detection in found:
            del detection['segmentation']
    evaluation = COCOeval(coco, coco.loadRes(found), kind)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize('half', HALVES)
def test_upstream_coco_dataset_reads_every_sample(root: Path, half: str) -> None:
    from mmcv.transforms import LoadImageFromFile
    from mmdet.datasets import CocoDataset
    from mmdet.datasets.transforms import LoadAnnotations, PackDetInputs

    dataset = CocoDataset(
        data_root=str(root / 'coco'),
        ann_file=f'annotations/instances_{half}.json',
        data_prefix={'img': f'{half}/'},
        metainfo={'classes': SHAPES_CLASSES, 'palette': PALETTE},
        filter_cfg={'filter_empty_gt': True, 'min_size': 32},
        pipeline=[LoadImageFromFile(), LoadAnnotations(with_bbox=True, with_mask=True), PackDetInputs()],
    )
    assert len(dataset) == HALVES[half][1]
    crowds = 0
    for index in range(len(dataset)):
        sample = dataset[index]
        instances, ignored = sample['data_samples'].gt_instances, sample['data_samples'].ignored_instances
        labels = _labels(root, half, Path(dataset.get_data_info(index)['img_path']).name)
        assert sample['inputs'].shape == (3, *labels.shape)
        for group in (instances, ignored):
            for mask, label in zip(group.masks.masks, group.labels.tolist()):
                assert set(labels[mask.astype(bool)].tolist()) == {label + shapes_scene.FIRST_SHAPE_LABEL}
        crowds += len(ignored)
        total = sum(int(mask.sum()) for group in (instances, ignored) for mask in group.masks.masks)
        assert total == (labels >= shapes_scene.FIRST_SHAPE_LABEL).sum()
    assert crowds


@pytest.mark.parametrize('half', HALVES)
def test_upstream_segmentation_dataset_reads_every_sample(root: Path, half: str) -> None:
    from mmcv.transforms import LoadImageFromFile
    from mmseg.datasets import BaseSegDataset
    from mmseg.datasets.transforms import LoadAnnotations, PackSegInputs

    ade_half, count = HALVES[half]
    dataset = BaseSegDataset(
        data_root=str(root / 'ade/ADEChallengeData2016'),
        data_prefix={'img_path': f'images/{ade_half}', 'seg_map_path': f'annotations/{ade_half}'},
        img_suffix='.png',
        seg_map_suffix='.png',
        reduce_zero_label=True,
        metainfo={'classes': SEG_CLASSES, 'palette': SEG_PALETTE},
        pipeline=[LoadImageFromFile(), LoadAnnotations(), PackSegInputs()],
    )
    assert len(dataset) == count
    seen: set[int] = set()
    for index in range(count):
        sample = dataset[index]
        labels = sample['data_samples'].gt_sem_seg.data[0].numpy()
        assert sample['inputs'].shape[1:] == labels.shape
        seen |= set(np.unique(labels).tolist())
    assert seen == {*range(len(SEG_CLASSES)), 255}


def test_scenes_hold_small_and_large_shapes_of_every_class(coco: COCO) -> None:
    assert {ann['category_id'] for ann in coco.anns.values()} == set(range(1, len(SHAPES_CLASSES) + 1))
    spans = [
        max(ann['bbox'][2:]) / min(coco.imgs[ann['image_id']]['height'], coco.imgs[ann['image_id']]['width'])
        for ann in coco.anns.values()
        if not ann['iscrowd']
    ]
    assert min(spans) < 0.15
    assert max(spans) > 0.45
    sizes = {(image['height'], image['width']) for image in coco.imgs.values()}
    assert any(h % 2 for h, _ in sizes)
    assert any(h > w for h, w in sizes)
    assert any(h < w for h, w in sizes)
    assert all(112 <= side <= 176 for pair in sizes for side in pair)


def test_same_set_is_left_as_it_is(tmp_path: Path) -> None:
    first = generate(tmp_path / 'a', train=2, val=1)
    times = {path: path.stat().st_mtime_ns for path in first.root.rglob('*')}
    again = generate(tmp_path / 'a', train=2, val=1)
    assert first.written
    assert not again.written
    assert again.manifest == first.manifest
    assert times == {path: path.stat().st_mtime_ns for path in first.root.rglob('*')}


def test_other_set_needs_overwrite(tmp_path: Path) -> None:
    root = generate(tmp_path / 'a', train=2, val=1).root
    before = _snapshot(root)
    with pytest.raises(InputError, match=r'seed 0 instead of 3; pass --overwrite or another folder'):
        generate(root, train=2, val=1, seed=3)
    assert _snapshot(root) == before
    assert generate(root, train=1, val=1, seed=3, overwrite=True).written
    assert len(list((root / 'coco/train2017').iterdir())) == 1
    assert [path.name for path in tmp_path.iterdir()] == ['a']


def test_incomplete_set_is_named(tmp_path: Path) -> None:
    root = generate(tmp_path / 'a', train=2, val=1).root
    (root / 'coco/train2017/000000000002.png').unlink()
    with pytest.raises(InputError, match=r'train2017: 1 images instead of 2; pass --overwrite'):
        generate(root, train=2, val=1)


@pytest.mark.parametrize('overwrite', [False, True])
@pytest.mark.parametrize('ours_beside', [False, True])
def test_foreign_files_are_never_touched(tmp_path: Path, overwrite: bool, ours_beside: bool) -> None:
    root = tmp_path / 'photos'
    if ours_beside:
        generate(root, train=1, val=1)
    root.mkdir(exist_ok=True)
    (root / 'holiday.txt').write_text('keep me')
    before = _snapshot(root)
    with pytest.raises(InputError, match='give another folder'):
        generate(root, train=1, val=1, overwrite=overwrite)
    assert _snapshot(root) == before


def test_a_file_in_the_way_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / 'a').write_text('keep me')
    with pytest.raises(InputError, match='give another folder'):
        generate(tmp_path / 'a', train=1, val=1, overwrite=True)
    assert (tmp_path / 'a').read_text() == 'keep me'


def test_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / 'a').mkdir()
    assert generate(tmp_path / 'a', train=1, val=1).written


def test_interrupted_writing_leaves_nothing(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    root = generate(tmp_path / 'a', train=1, val=1).root
    before = _snapshot(root)
    with pytest.raises(KeyboardInterrupt):
        generate(root, train=3, val=1, overwrite=True, progress=stop)
    with pytest.raises(KeyboardInterrupt):
        generate(tmp_path / 'b', train=3, val=1, progress=stop)
    assert _snapshot(root) == before
    assert [path.name for path in tmp_path.iterdir()] == ['a']


@pytest.mark.parametrize(
    'options, message',
    [
        ({'train': 0}, 'train=0: give at least 1 image'),
        ({'val': -1}, 'val=-1: give at least 1 image'),
        ({'seed': -1}, 'seed=-1: give a number from 0 on'),
        ({'size': (176, 112)}, 'size=176 112: .*smallest <= largest'),
        ({'size': (8, 112)}, 'size=8 112: .*64 <='),
    ],
)
def test_bad_options(tmp_path: Path, options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        generate(tmp_path / 'a', **options)
    assert not (tmp_path / 'a').exists()


def test_unwritable_place(tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('')
    with pytest.raises(InputError, match='cannot be written'):
        generate(tmp_path / 'file' / 'shapes', train=1, val=1)


def _tool(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(REPOSITORY / 'tools/make_shapes.py'), *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, timeout=60)


def test_command_writes_and_reports(tmp_path: Path) -> None:
    done = _tool(str(tmp_path / 'a'), '--train', '2', '--val', '1', '--size', '64', '80')
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1
    assert str(tmp_path / 'a') in done.stdout
    assert '3/3 images' in done.stderr
    assert json.loads((tmp_path / 'a/shapes.json').read_text())['size'] == [64, 80]


def test_command_says_bad_options_in_one_line(tmp_path: Path) -> None:
    done = _tool(str(tmp_path / 'a'), '--train', '0')
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert 'train=0' in done.stderr
    assert done.stdout == ''


def test_contact_sheet(root: Path, tmp_path: Path) -> None:
    draw_contact_sheet(root, tmp_path / 'sheet.png', n=5)
    with Image.open(tmp_path / 'sheet.png') as sheet:
        pixels = np.asarray(sheet).reshape(-1, 3)
    assert sheet.width > sheet.height
    colours = set(map(tuple, np.unique(pixels, axis=0).tolist()))
    assert len(colours & set(SEG_PALETTE)) >= 5

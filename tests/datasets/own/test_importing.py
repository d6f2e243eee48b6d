"""Every format is imported with exact counts, boxes and masks; nothing is written unless all of it is."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mmengine.registry import DATASETS
from PIL import Image
from pycocotools.coco import COCO

from mmseq.datasets.own.card import Card, read_card
from mmseq.datasets.own.importing import import_data
from mmseq.errors import InputError
from tests.datasets.own import exports
from tests.datasets.own.exports import Truth

OBJECTS = exports.BOXES | exports.INSTANCES
PALETTE = [0, 0, 0, 200, 30, 30, 30, 200, 30, 30, 30, 200]


def things_of(card: Card) -> dict[str, list[tuple[str, np.ndarray, np.ndarray | None]]]:
    """Name, box and mask of every object by the name of its image."""
    found: dict[str, list] = {}
    for part in card.parts.values():
        read = COCO(str(part.labels))
        for image in read.loadImgs(read.getImgIds()):
            assert (part.images / image['file_name']).is_file()
            rows = read.loadAnns(read.getAnnIds(imgIds=[image['id']]))
            stem = Path(image['file_name']).stem
            assert stem not in found, 'an image stands in two parts'
            found[stem] = []
            for row in rows:
                left, top, width, height = row['bbox']
                box = np.array((left, top, left + width, top + height))
                mask = read.annToMask(row).astype(bool) if row.get('segmentation') else None
                found[stem].append((read.cats[row['category_id']]['name'], box, mask))
    return found


def maps_of(card: Card) -> dict[str, np.ndarray]:
    """Label maps by the name of their image."""
    paths = [path for part in card.parts.values() for path in part.labels.iterdir()]
    return {path.stem: np.asarray(Image.open(path)) for path in paths}


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


@pytest.mark.parametrize('kind', OBJECTS)
def test_objects_come_through_every_format(kind: str, truths: list[Truth], tmp_path: Path) -> None:
    OBJECTS[kind](tmp_path / 'source', truths)
    card = import_data(tmp_path / 'source', tmp_path / 'out')
    assert card.task == ('boxes' if kind in exports.BOXES else 'instances')
    assert list(card.classes) == exports.classes_of(truths)
    found = things_of(card)
    assert set(found) == {truth.image.stem for truth in truths}
    for truth in truths:
        things = found[truth.image.stem]
        assert [name for name, *_ in things] == [thing.name for thing in truth.things]
        for (_, box, mask), thing in zip(things, truth.things):
            assert np.abs(box - thing.box).max() <= 1
            if kind in exports.INSTANCES:
                assert iou(mask, truth.mask(thing)) > 0.99


@pytest.mark.parametrize('kind', ['coco', 'yolo', 'voc'])
def test_parts_of_a_source_are_kept(kind: str, made: list[Truth], tmp_path: Path) -> None:
    OBJECTS[kind](tmp_path / 'source', made)
    card = import_data(tmp_path / 'source', tmp_path / 'out')
    content = {part: json.loads(chosen.labels.read_text()) for part, chosen in card.parts.items()}
    names = {part: {Path(row['file_name']).stem for row in rows['images']} for part, rows in content.items()}
    assert list(names.values()) == [{truth.image.stem for truth in chosen} for chosen in exports.halves(made).values()]


def white(values: np.ndarray) -> Image.Image:
    return Image.fromarray((values > 0).astype(np.uint8) * 255)


def index(values: np.ndarray) -> Image.Image:
    return Image.fromarray(values)


def palette(values: np.ndarray) -> Image.Image:
    image = Image.fromarray(values, 'P')
    image.putpalette(PALETTE + 3 * list(range(len(PALETTE) // 3, 256)))
    return image


def sixteen(values: np.ndarray) -> Image.Image:
    return Image.fromarray(values.astype(np.uint16) * 257)


def with_border(values: np.ndarray) -> Image.Image:
    values = values.copy()
    values[:2] = 255
    return Image.fromarray(values)


def colour(values: np.ndarray) -> Image.Image:
    return Image.fromarray(np.array(PALETTE + 3 * list(range(4, 256)), np.uint8).reshape(-1, 3)[values])


@pytest.mark.parametrize('convert', [white, index, palette, sixteen, with_border, colour])
def test_label_maps_of_every_kind(convert: Callable, truths: list[Truth], tmp_path: Path) -> None:
    exports.maps(tmp_path / 'source', truths, convert)
    names = exports.classes_of(truths)
    table = tmp_path / 'colours.txt'
    colours = np.array(PALETTE + 3 * list(range(4, 256)), np.uint8).reshape(-1, 3)
    lines = [' '.join(map(str, colours[k])) + f' {name}' for k, name in enumerate(['background', *names])]
    table.write_text('\n'.join(lines))
    if convert is colour:
        names = ()
    card = import_data(
        tmp_path / 'source',
        tmp_path / 'out',
        classes=('thing',) if convert is white else names,
        colours=table if convert is colour else None,
    )
    names = exports.classes_of(truths)
    assert card.task == 'semantic'
    assert card.classes == ('background', *(('thing',) if convert is white else names))
    found = maps_of(card)
    assert len(found) == len(truths)
    for truth in truths:
        expected = exports.label_map(truth, names)
        expected = (expected > 0).astype(np.uint8) if convert is white else expected
        if convert is with_border:
            expected[:2] = 255
        assert np.array_equal(found[truth.image.stem], expected)


def test_polygons_become_label_maps(made: list[Truth], tmp_path: Path) -> None:
    exports.coco(tmp_path / 'source', made)
    card = import_data(tmp_path / 'source', tmp_path / 'out', task='semantic')
    assert card.classes == ('background', 'ant', 'bee', 'cow')
    for truth in made:
        assert np.array_equal(maps_of(card)[truth.image.stem], exports.label_map(truth, ['ant', 'bee', 'cow']))


def test_images_stay_in_their_place_or_are_copied(made: list[Truth], tmp_path: Path) -> None:
    exports.cvat(tmp_path / 'source', made)
    card = import_data(tmp_path / 'source', tmp_path / 'out')
    assert card.train.images == tmp_path / 'source' / 'images'
    assert not (tmp_path / 'out' / 'images').exists()
    card = import_data(tmp_path / 'source', tmp_path / 'out', copy=True, overwrite=True)
    shutil.rmtree(tmp_path / 'source')
    assert len(things_of(card)) == len(made)
    (tmp_path / 'out').rename(tmp_path / 'moved')
    assert len(things_of(read_card(tmp_path / 'moved' / 'card.yaml'))) == len(made)


def test_label_maps_link_to_their_images(made: list[Truth], tmp_path: Path) -> None:
    exports.maps(tmp_path / 'source', made, index)
    (tmp_path / 'source' / 'images' / 'photo 0.png').rename(tmp_path / 'source' / 'images' / 'photo 0.PNG')
    card = import_data(tmp_path / 'source', tmp_path / 'out')
    links = sorted(path for part in card.parts.values() for path in part.images.iterdir())
    assert [path.suffix for path in links] == ['.png'] * len(made)
    assert all(path.is_symlink() and path.resolve().parent == tmp_path / 'source' / 'images' for path in links)


def test_validation_from_a_folder_of_its_own(made: list[Truth], tmp_path: Path) -> None:
    exports.labelme(tmp_path / 'mine', made[:4])
    exports.labelme(tmp_path / 'others', made[4:])
    card = import_data(tmp_path / 'mine', tmp_path / 'out', val_from=tmp_path / 'others')
    images = {part: json.loads(chosen.labels.read_text())['images'] for part, chosen in card.parts.items()}
    assert {part: len(rows) for part, rows in images.items()} == dict(train=4, val=2)
    assert all('others' in row['file_name'] for row in images['val'])


def test_classes_are_chosen_and_ordered(made: list[Truth], tmp_path: Path) -> None:
    exports.labelme(tmp_path / 'source', made)
    told: list[str] = []
    card = import_data(tmp_path / 'source', tmp_path / 'out', classes=['cow', 'ant'], tell=told.append)
    assert card.classes == ('cow', 'ant')
    names = [name for things in things_of(card).values() for name, *_ in things]
    assert sorted(names) == sorted(t.name for truth in made for t in truth.things if t.name != 'bee')
    assert any(line.strip().startswith('objects of other classes, left out: 2') for line in told)


@pytest.mark.parametrize(
    'options, expected',
    [
        (dict(classes=['ant', 'elk']), "class 'elk': the labels have no such class; they have 'ant', 'bee', 'cow'"),
        (dict(classes=['ant', 'ant']), 'classes: a name is given twice'),
        (dict(task='masks'), "task 'masks' is none of boxes, instances, semantic"),
        (dict(format='pdf'), "format 'pdf' is none of coco, yolo, voc, labelme, cvat, maps"),
        (dict(val=1.0), 'val 1.0: give the share of the images for validation, between 0 and 1'),
        (dict(colours='colours.txt'), 'is LabelMe json, which has no colours; leave out --colours'),
        (dict(val_from='truth'), 'has no labelled images of LabelMe json to validate with'),
    ],
)
def test_options_that_do_not_fit_are_one_line(
    options: dict, expected: str, made: list[Truth], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    exports.labelme(tmp_path / 'source', made)
    with pytest.raises(InputError) as raised:
        import_data('source', 'out', **options)
    assert expected in str(raised.value)
    assert sorted(os.listdir()) == ['source', 'truth']


def test_boxes_have_no_masks_to_train(made: list[Truth], tmp_path: Path) -> None:
    exports.voc(tmp_path / 'source', made)
    for task in ('instances', 'semantic'):
        with pytest.raises(InputError, match=f'has boxes without masks, nothing for {task}; take --task boxes'):
            import_data(tmp_path / 'source', tmp_path / 'out', task=task)


def test_only_an_import_is_replaced_and_only_when_asked(made: list[Truth], tmp_path: Path) -> None:
    exports.labelme(tmp_path / 'source', made)
    out = tmp_path / 'out'
    import_data(tmp_path / 'source', out)
    before = (out / 'train.json').read_text()
    with pytest.raises(InputError, match='holds an import already; give --overwrite or another folder'):
        import_data(tmp_path / 'source', out)
    import_data(tmp_path / 'source', out, seed=5, overwrite=True)
    assert (out / 'train.json').read_text() != before
    (out / 'thesis.tex').write_text('x')
    with pytest.raises(InputError, match='exists and is not only an import, so it is left alone'):
        import_data(tmp_path / 'source', out, overwrite=True)
    with pytest.raises(InputError, match='holds the source'):
        import_data(tmp_path / 'source', tmp_path / 'source', overwrite=True)


def test_a_failed_import_leaves_the_earlier_one(made: list[Truth], tmp_path: Path, monkeypatch) -> None:
    exports.labelme(tmp_path / 'source', made)
    import_data(tmp_path / 'source', tmp_path / 'out')
    before = {path: path.read_bytes() for path in (tmp_path / 'out').iterdir()}

    def fail(*arguments: object) -> None:
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr('mmseq.datasets.own.importing.write_card', fail)
    with pytest.raises(OSError, match='No space left'):
        import_data(tmp_path / 'source', tmp_path / 'out', overwrite=True)
    assert {path: path.read_bytes() for path in (tmp_path / 'out').iterdir()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ['out', 'source', 'truth']


def test_the_record_and_the_lines_have_the_counts(made: list[Truth], tmp_path: Path) -> None:
    exports.coco(tmp_path / 'source', made)
    told: list[str] = []
    import_data(tmp_path / 'source', tmp_path / 'out', tell=told.append)
    record = json.loads((tmp_path / 'out' / 'import.json').read_text())
    assert record['format'] == 'COCO json'
    assert record['parts']['train'] | dict(ignored=0) == dict(
        images=4, empty=1, classes=dict(ant=3, bee=2, cow=1), crowds=0, ignored=0
    )
    assert record['parts']['val']['classes'] == dict(ant=1, bee=0, cow=0)
    assert told[0].startswith('recognised: COCO json, 2 files: source/train/_annotations.coco.json')
    assert [line.split() for line in told if line.startswith('ant')] == [['ant', '3', '1']]
    assert [line.split()[-2:] for line in told if line.startswith('images without objects')] == [['1', '1']]
    assert 'data check:' in told


def test_a_mixture_of_boxes_and_masks_is_what_most_of_them_are(made: list[Truth], tmp_path: Path) -> None:
    exports.coco(tmp_path / 'source', made)
    paths = sorted((tmp_path / 'source').rglob('*.json'))
    content = json.loads(paths[0].read_text())
    content['annotations'][0]['segmentation'] = []
    paths[0].write_text(json.dumps(content))
    told: list[str] = []
    card = import_data(tmp_path / 'source', tmp_path / 'out', tell=told.append)
    assert card.task == 'instances'
    assert '  objects without a mask, whose box is taken as one: 1' in told
    for row in content['annotations'][:-1]:
        row['segmentation'] = []
    paths[0].write_text(json.dumps(content))
    card = import_data(tmp_path / 'source', tmp_path / 'out', tell=told.append, overwrite=True)
    assert card.task == 'boxes'
    assert '  objects with a mask, of which the box is taken since most have none: 2' in told


def test_upstream_loads_what_is_written(made: list[Truth], tmp_path: Path) -> None:
    exports.labelme(tmp_path / 'source', made)
    card = import_data(tmp_path / 'source', tmp_path / 'instances')
    steps = [dict(type='LoadImageFromFile'), dict(type='mmdet.LoadAnnotations', with_bbox=True, with_mask=True)]
    found = {}
    for part in card.parts.values():
        about = dict(ann_file=str(part.labels), data_prefix=dict(img=str(part.images)))
        meta = dict(classes=card.classes)
        for sample in DATASETS.build(dict(type='mmdet.CocoDataset', **about, metainfo=meta, pipeline=steps)):
            found[Path(sample['img_path']).stem] = sample
    card = import_data(tmp_path / 'source', tmp_path / 'maps', task='semantic')
    steps = [dict(type='LoadImageFromFile'), dict(type='mmseg.LoadAnnotations')]
    for part in card.parts.values():
        about = dict(data_prefix=dict(img_path=str(part.images), seg_map_path=str(part.labels)))
        about |= dict(img_suffix=part.image_suffix, seg_map_suffix=part.label_suffix)
        meta = dict(classes=card.classes)
        for sample in DATASETS.build(dict(type='mmseg.BaseSegDataset', **about, metainfo=meta, pipeline=steps)):
            found[Path(sample['img_path']).stem]['map'] = sample['gt_seg_map']
    assert set(found) == {truth.image.stem for truth in made}
    for truth in made:
        sample = found[truth.image.stem]
        assert sample['img'].shape[:2] == sample['map'].shape == (truth.height, truth.width)
        assert [card.classes[k + 1] for k in sample['gt_bboxes_labels']] == [thing.name for thing in truth.things]
        for mask, thing in zip(sample['gt_masks'].to_ndarray().astype(bool), truth.things):
            assert np.array_equal(mask, truth.mask(thing))
        assert set(np.unique(sample['map'])) == {0, *(card.classes.index(thing.name) for thing in truth.things)}

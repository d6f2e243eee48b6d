"""COCO json as services and scripts write it."""

from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from mmseq.errors import InputError
from tests.datasets.own import exports
from tests.datasets.own.exports import Truth
from tests.datasets.own.reading import imported, pictures, rows_of, write

SQUARE = [4, 5, 24, 5, 24, 25, 4, 25]


def content(**changes: object) -> dict:
    images = [dict(id=k, file_name=f'{k}.png', width=60, height=40) for k in range(3)]
    row = dict(image_id=0, category_id=0, bbox=[4, 5, 20, 20], segmentation=[SQUARE], iscrowd=0)
    rows = [dict(row, id=k, image_id=k) for k in range(3)]
    return dict(images=images, annotations=rows, categories=[dict(id=0, name='cat')]) | changes


def source(tmp_path: Path, value: dict, name: str = 'labels.json') -> Path:
    pictures(tmp_path / 'source', '0.png', '1.png', '2.png')
    write(tmp_path / 'source' / name, value)
    return tmp_path / 'source'


def with_rows(*rows: dict) -> dict:
    """The usual annotations and some more, of image 0."""
    value = content()
    value['annotations'] += [dict(id=10 + k, image_id=0, category_id=0) | row for k, row in enumerate(rows)]
    return value


def test_counts_are_those_of_pycocotools(truths: list[Truth], tmp_path: Path, capsys) -> None:
    exports.coco(tmp_path / 'source', truths)
    card, found, _ = imported(tmp_path / 'source')
    for part, folder in (('train', 'train'), ('val', 'valid')):
        theirs = COCO(str(tmp_path / 'source' / folder / '_annotations.coco.json'))
        ours = COCO(str(card.parts[part].labels))
        assert len(ours.getImgIds()) == len(theirs.getImgIds())
        names = {theirs.cats[row['category_id']]['name'] for row in theirs.anns.values()}
        for name in names:
            count = len(theirs.getAnnIds(catIds=theirs.getCatIds(catNms=[name])))
            assert len(ours.getAnnIds(catIds=ours.getCatIds(catNms=[name]))) == count
    assert 'yard' not in card.classes
    assert sum(map(len, found.values())) == sum(len(truth.things) for truth in truths)


def test_a_category_that_names_the_project_stays_where_objects_are_of_it(tmp_path: Path) -> None:
    above, below = dict(id=0, name='cat', supercategory='none'), dict(id=1, name='kitten', supercategory='cat')
    value = content(categories=[above, below])
    card, *_ = imported(source(tmp_path, value))
    assert card.classes == ('cat', 'kitten')


def test_run_lengths_and_flat_polygons_are_masks(tmp_path: Path) -> None:
    mask = np.zeros((40, 60), np.uint8)
    mask[5:25, 4:24] = 1
    packed = coco_mask.encode(np.asfortranarray(mask))
    plain = dict(size=[40, 60], counts=[4 * 40 + 5, *[20, 20] * 19, 20, 60 * 40 - 24 * 40 + 15])
    rows = [
        dict(segmentation=SQUARE, bbox=[4, 5, 20, 20]),
        dict(segmentation=dict(size=[40, 60], counts=packed['counts'].decode()), bbox=[4, 5, 20, 20]),
        dict(segmentation=plain, bbox=[4, 5, 20, 20]),
        dict(segmentation=plain),
    ]
    card, found, _ = imported(source(tmp_path, with_rows(*rows)))
    assert card.task == 'instances'
    assert [box for _, box in found['0.png']] == [[4, 5, 20, 20]] * 5
    assert {row['area'] for row in rows_of(card)} == {400}


def test_what_is_unusual_is_counted(tmp_path: Path) -> None:
    value = with_rows(
        dict(bbox=[10, 10, 0, 5], segmentation=[]),
        dict(bbox=[50, 30, 20, 20], segmentation=[]),
        dict(bbox=[4, 5, 20, 20], segmentation=[[1, 2, 3, 4]]),
        dict(bbox=[4, 5, 20, 20], segmentation=[], category_id=7),
        dict(bbox=[4, 5, 20, 20], segmentation=[], image_id=7),
        dict(bbox=[4, 5, 20, 20], segmentation=dict(size=[4, 6], counts=[24])),
    )
    value['images'].append(dict(id=3, file_name='gone.png', width=60, height=40))
    value['annotations'].append(dict(id=99, image_id=3, category_id=0, bbox=[1, 1, 5, 5]))
    _, found, told = imported(source(tmp_path, value), task='boxes')
    assert sorted(box for _, box in found['0.png']) == [
        [4, 5, 20, 20],
        [4, 5, 20, 20],
        [4, 5, 20, 20],
        [50, 30, 10, 10],
    ]
    for line in (
        'objects without area in their image, left out: 1',
        'boxes that reached out of their image, clipped: 1',
        'polygons of fewer than three points, left out: 1',
        'annotations of no class of their file, left out: 1',
        'annotations of no image of their file, left out: 1',
        'masks of another size than their image, left out: 1',
        'images that are not there, left out: 1, first gone.png',
        'objects of images that are not there, left out: 1',
    ):
        assert line in told


def test_crowds_stay_crowds(tmp_path: Path) -> None:
    value = with_rows(dict(bbox=[4, 5, 20, 20], segmentation=[SQUARE], iscrowd=1))
    card, *_ = imported(source(tmp_path, value))
    crowds = [row for row in rows_of(card) if row['iscrowd']]
    assert [row['segmentation']['size'] for row in crowds] == [[40, 60]]


def test_paths_of_other_machines_find_their_images(tmp_path: Path) -> None:
    value = content()
    names = ('C:\\photos\\0.png', '/home/ann/my%20data/1.png', '../images/2.png')
    for row, name in zip(value['images'], names):
        row['file_name'] = name
    _, found, told = imported(source(tmp_path, value, 'labels/export.json'))
    assert set(found) == {'0.png', '1.png', '2.png'}
    assert 'not there' not in told


def test_lists_of_other_tools_are_left_alone(tmp_path: Path) -> None:
    folder = source(tmp_path, content())
    (folder / 'export.json').write_text('[{"id": 1, "annotations": [{"result": []}], "images": []}]')
    assert imported(folder)[0].classes == ('cat',)


def test_classes_of_several_files_are_joined_by_name(made: list[Truth], tmp_path: Path) -> None:
    exports.coco(tmp_path / 'source', made)
    for part, names in (('train', ['ant', 'bee', 'cow']), ('valid', ['cow', 'bee', 'ant', 'dog'])):
        chosen = exports.halves(made)[part]
        write(tmp_path / 'source' / part / '_annotations.coco.json', exports.coco_content(chosen, names))
    card, found, told = imported(tmp_path / 'source')
    assert card.classes == ('ant', 'bee', 'cow', 'dog')
    by_image = {Path(name).name: [thing for thing, _ in things] for name, things in found.items()}
    assert by_image == {truth.image.name: [thing.name for thing in truth.things] for truth in made}
    assert 'classes differ between the files and were joined by name; files: 2' in told


@pytest.mark.parametrize(
    'change, expected',
    [
        (dict(categories=[dict(id=0, name='cat'), dict(id=0, name='dog')]), "category id 0 is both 'cat' and 'dog'"),
        (dict(categories=[dict(id=0)]), 'has no id and name'),
        (dict(images=[dict(id=0, file_name='0.png'), dict(id=0, file_name='1.png')]), 'image id 0 stands 2 times'),
        (dict(images=[dict(id=0, file_name='0.png'), dict(id=1, file_name='0.png')]), '1 images have two labels'),
        (dict(annotations=[dict(image_id=0, category_id=0, bbox=[1, 2])]), 'has bbox [1, 2]'),
        (dict(annotations=[dict(image_id=0, category_id=0, bbox=[1, 2, 'a', 3])]), "has bbox [1, 2, 'a', 3]"),
        (dict(annotations=[dict(image_id=0, category_id=0, segmentation=[['a', 2]])]), 'give lists of x, y'),
        (dict(annotations=[dict(segments_info=[])]), 'holds panoptic segments'),
        (dict(annotations=[]), 'nothing is left to train on'),
        (dict(annotations='none'), 'its annotations are no list'),
    ],
)
def test_contradictions_are_one_line(change: dict, expected: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as raised:
        imported(source(tmp_path, content(**change)))
    assert expected in str(raised.value)
    assert '\n' not in str(raised.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['source']

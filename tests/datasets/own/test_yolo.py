"""YOLO folders as Ultralytics, Darknet and labelling services write them."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from mmseq.errors import InputError
from tests.datasets.own import exports
from tests.datasets.own.exports import Truth
from tests.datasets.own.reading import imported, pictures, rows_of, write

BOX = '0 0.5 0.5 0.5 0.5\n'
HALF = [15.0, 10.0, 30.0, 20.0]


def beside(tmp_path: Path, *rows: str) -> Path:
    """Images with rows beside them, and classes.txt."""
    folder = tmp_path / 'source'
    pictures(folder, *(f'{k}.png' for k in range(len(rows))))
    for k, text in enumerate(rows):
        write(folder / f'{k}.txt', text)
    write(folder / 'classes.txt', 'cat\ndog\n')
    return folder


@pytest.mark.parametrize('masks', [False, True])
def test_counts_and_boxes_are_those_of_supervision(masks: bool, truths: list[Truth], tmp_path: Path) -> None:
    supervision = pytest.importorskip('supervision', reason='supervision is not installed (mmseq[dev])')
    folder = tmp_path / 'source'
    (exports.yolo_masks if masks else exports.yolo)(folder, truths)
    _, found, _ = imported(folder)
    for part in ('train', 'valid'):
        places = [str(folder / part / name) for name in ('images', 'labels')]
        theirs = supervision.DetectionDataset.from_yolo(*places, str(folder / 'data.yaml'), force_masks=masks)
        for path, _, objects in theirs:
            ours = found[f'{part}/images/{Path(path).name}']
            assert [name for name, _ in ours] == [theirs.classes[k] for k in objects.class_id]
            boxes = np.array([box for _, box in ours]).reshape(-1, 4)
            boxes[:, 2:] += boxes[:, :2]
            assert np.abs(boxes - objects.xyxy).max(initial=0) <= 1


def test_images_beside_their_rows_and_names_in_a_list(tmp_path: Path) -> None:
    card, found, told = imported(beside(tmp_path, BOX, BOX, ''))
    assert card.classes == ('cat', 'dog')
    assert found == {'0.png': [('cat', HALF)], '1.png': [('cat', HALF)], '2.png': []}
    assert 'classes without any object: 1, first dog' in told


@pytest.mark.parametrize(
    'config',
    [
        dict(path='../source', train='images/train', val='images/val', names={0: 'cat', 1: 'dog'}),
        dict(path='/home/ann/source', train='images/train', val='images/val', names=['cat', 'dog']),
        dict(train=['images/train'], val=['../images/val'], test='images/test', names=['cat', 'dog']),
        dict(train='lists/train.txt', val='lists/val.txt', names=['cat', 'dog']),
        dict(nc=2, names=['cat', 'dog']),
    ],
)
def test_folders_lists_and_foreign_paths_of_the_config(config: dict, tmp_path: Path) -> None:
    folder = tmp_path / 'source'
    pictures(folder / 'images', 'train/a.png', 'train/b.png', 'val/c.png')
    for name in ('train/a', 'train/b', 'val/c'):
        write(folder / 'labels' / f'{name}.txt', BOX)
    write(folder / 'lists' / 'train.txt', './images/train/a.png\n./images/train/b.png\n')
    write(folder / 'lists' / 'val.txt', '/home/ann/source/images/val/c.png\n')
    write(folder / 'data.yaml', yaml.safe_dump(config))
    card, found, told = imported(folder)
    assert card.classes == ('cat', 'dog')
    assert sum(map(len, found.values())) == 3
    assert len(rows_of(card)) == 3
    assert 'c.png"' in card.val.labels.read_text()
    assert ('parts that data.yaml names and that are not there' in told) == ('test' in config)


def test_one_folder_for_training_and_validation_is_split(tmp_path: Path) -> None:
    folder = beside(tmp_path, *[BOX] * 5)
    write(folder / 'data.yaml', yaml.safe_dump(dict(train='.', val='.', names=['cat', 'dog'])))
    card, found, _ = imported(folder)
    assert len(found) == 5
    assert card.train.labels.name == 'train.json'


def test_what_is_missing_is_counted(tmp_path: Path) -> None:
    folder = beside(tmp_path, BOX, BOX)
    pictures(folder, 'bare.png')
    write(folder / 'labels' / 'train' / 'gone.txt', BOX)
    # Of a folder without any label file.
    pictures(folder / 'results', 'curve.png')
    _, found, told = imported(folder)
    assert sorted(found) == ['0.png', '1.png', 'bare.png']
    assert found['bare.png'] == []
    assert 'images without a label file, taken as images without objects: 1, first bare.png' in told
    assert 'label files of no image that is taken, left out: 1, first gone.txt' in told


def test_names_may_come_from_the_user(tmp_path: Path) -> None:
    folder = beside(tmp_path, BOX, BOX)
    (folder / 'classes.txt').unlink()
    with pytest.raises(InputError, match='YOLO labels, but no names: add data.yaml or classes.txt, or give --classes'):
        imported(folder)
    card, *_ = imported(folder, classes=['bird'])
    assert card.classes == ('bird',)


def test_four_upright_points_are_boxes_and_others_oriented(tmp_path: Path) -> None:
    upright = '0 0.25 0.25 0.75 0.25 0.75 0.75 0.25 0.75\n'
    card, found, _ = imported(beside(tmp_path / 'a', upright, upright))
    assert card.task == 'boxes'
    assert found['0.png'] == [('cat', HALF)]
    with pytest.raises(InputError, match='all 2 objects are four points, which are oriented boxes and are not read'):
        imported(beside(tmp_path / 'b', upright, '0 0.5 0.25 0.75 0.5 0.5 0.75 0.25 0.5\n'))


def test_boxes_of_keypoints_are_taken(tmp_path: Path) -> None:
    folder = beside(tmp_path, BOX.strip() + ' 0.5 0.5 2 0.1 0.1 1\n', BOX.strip() + ' 0.5 0.5 2 0.1 0.1 1\n')
    config = dict(train='.', val='.', names=['cat'], kpt_shape=[2, 3])
    write(folder / 'data.yaml', yaml.safe_dump(config))
    _, found, told = imported(folder)
    assert found['0.png'] == [('cat', HALF)]
    assert 'objects with keypoints, of which the boxes are taken: 2' in told


@pytest.mark.parametrize(
    'row, expected',
    [
        ('7 0.5 0.5 0.5 0.5', '0.txt:1: class 7, but there are 2 names, from 0 to 1'),
        ('0 0.5 0.5 0.5', '0.txt:1: 4 numbers; expected class x y width height, or class and a polygon'),
        ('0 0.5 0.5 0.5 0.5\n0 0.5 cat 0.5 0.5', "0.txt:2: '0 0.5 cat 0.5 0.5' is no row of numbers"),
        ('0 0.5 0.5 0.5 0.5 0.9', '0.txt:1: 6 numbers; expected class x y width height, or class and a polygon'),
        ('0 30 20 30 20', '0.txt:1: 30 is no share of the image'),
        ('0 0.5 0.5 0.5 nan', '0.txt:1: nan is no share of the image'),
    ],
)
def test_malformed_rows_are_one_line(row: str, expected: str, tmp_path: Path) -> None:
    folder = beside(tmp_path, row, BOX)
    with pytest.raises(InputError) as raised:
        imported(folder)
    assert expected in str(raised.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['source']


@pytest.mark.parametrize(
    'config, expected',
    [
        (dict(names=['cat', 'cat'], train='.'), "names has 'cat' twice"),
        (dict(names={1: 'cat', 2: 'dog'}, train='.'), 'names has the numbers [1, 2]'),
    ],
)
def test_names_that_contradict_themselves(config: dict, expected: str, tmp_path: Path) -> None:
    folder = beside(tmp_path, BOX, BOX)
    write(folder / 'data.yaml', yaml.safe_dump(config))
    with pytest.raises(InputError) as raised:
        imported(folder)
    assert expected in str(raised.value)

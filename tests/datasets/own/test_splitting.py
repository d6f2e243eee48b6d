"""Training and validation share no image, by content, and the draw is the same for a seed."""

from pathlib import Path

import pytest

from mmseq.datasets.own.source import Labelled, Notes, Object
from mmseq.datasets.own.splitting import split
from mmseq.errors import InputError
from tests.datasets.own.reading import picture

BOX = (1.0, 1.0, 9.0, 9.0)


def images(folder: Path, count: int, part: str | None = None, first: int = 0, name: str = 'cat') -> list[Labelled]:
    chosen = []
    for k in range(first, first + count):
        path = picture(folder / f'{part}{k}.png', k)
        chosen.append(Labelled(path, path, [Object(name, BOX)], part))
    return chosen


def names(parts: dict[str, list[Labelled]]) -> dict[str, list[str]]:
    return {part: sorted(image.image.stem for image in rows) for part, rows in parts.items()}


def test_a_share_is_drawn_by_the_seed(tmp_path: Path) -> None:
    chosen = images(tmp_path, 20)
    parts = split(chosen, 0.25, 3, Notes())
    assert {part: len(rows) for part, rows in parts.items()} == dict(train=15, val=5)
    assert names(parts) == names(split(chosen, 0.25, 3, Notes()))
    assert names(parts) != names(split(chosen, 0.25, 4, Notes()))


def test_rare_classes_are_spread(tmp_path: Path) -> None:
    chosen = images(tmp_path, 16) + images(tmp_path, 4, first=16, name='fox')
    for seed in range(4):
        parts = split(chosen, 0.25, seed, Notes())
        assert sum(image.objects[0].name == 'fox' for image in parts['val']) == 1


def test_images_of_one_content_stay_together(tmp_path: Path) -> None:
    chosen = images(tmp_path, 4)
    for k in range(3):
        path = picture(tmp_path / f'copy{k}.png', 0)
        chosen.append(Labelled(path, path, [Object('cat', BOX)]))
    notes = Notes()
    parts = names(split(chosen, 0.3, 0, notes))
    copies = {'None0', 'copy0', 'copy1', 'copy2'}
    assert any(copies <= set(rows) for rows in parts.values())
    assert 'images of the same content as another, kept in one part with it: 3' in notes.lines()


def test_augmented_copies_stay_together(tmp_path: Path) -> None:
    chosen = []
    for k in range(6):
        path = picture(tmp_path / f'photo{k % 2}_jpg.rf.{k:x}a0.jpg', k)
        chosen.append(Labelled(path, path, [Object('cat', BOX)]))
    notes = Notes()
    parts = names(split(chosen, 0.3, 0, notes))
    assert sorted(len({name.split('_')[0] for name in rows}) for rows in parts.values()) == [1, 1]
    assert 'augmented copies of one picture, kept in one part with it: 4' in notes.lines()


def test_given_parts_are_kept_and_leaks_leave_the_training(tmp_path: Path) -> None:
    chosen = images(tmp_path, 4, 'train') + images(tmp_path, 2, 'val', 3) + images(tmp_path, 2, 'test', 4)
    notes = Notes()
    parts = names(split(chosen, 0.2, 0, notes))
    assert parts == dict(train=['train0', 'train1', 'train2'], val=['val3'], test=['test4', 'test5'])
    assert notes.lines() == [
        'images of val that test has as well, left out of val: 1, first val4.png',
        'images of train that val has as well, left out of train: 1, first train3.png',
    ]


def test_validation_is_drawn_where_only_training_and_test_are_given(tmp_path: Path) -> None:
    chosen = images(tmp_path, 8, 'train') + images(tmp_path, 2, 'test', 8)
    parts = names(split(chosen, 0.25, 0, Notes()))
    assert {part: len(rows) for part, rows in parts.items()} == dict(train=6, val=2, test=2)
    assert parts['test'] == ['test8', 'test9']


def test_a_single_part_is_all_there_is(tmp_path: Path) -> None:
    parts = split(images(tmp_path, 5, 'test'), 0.2, 0, Notes())
    assert {part: len(rows) for part, rows in parts.items()} == dict(train=4, val=1)


def test_images_in_no_part_are_for_training(tmp_path: Path) -> None:
    notes = Notes()
    parts = names(split(images(tmp_path, 2) + images(tmp_path, 2, 'val', 2), 0.2, 0, notes))
    assert parts == dict(train=['None0', 'None1'], val=['val2', 'val3'])
    assert notes.lines() == ['images in no part, taken for training: 2']


def test_a_test_part_without_objects_is_left_out(tmp_path: Path) -> None:
    path = picture(tmp_path / 'bare.png', 9)
    notes = Notes()
    parts = split([*images(tmp_path, 4, 'train'), Labelled(path, path, (), 'test')], 0.25, 0, notes)
    assert 'test' not in parts
    assert 'test images without any object, left out: 1' in notes.lines()


def test_one_image_cannot_be_split(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='1 image with labels that can be used; give at least two'):
        split(images(tmp_path, 1), 0.2, 0, Notes())

"""Data cards are read as they were written, wherever they lie, and refused in one line."""

import os
from pathlib import Path

import pytest
import yaml

from mmseq.datasets.own.card import Card, Part, read_card, write_card
from mmseq.errors import InputError


@pytest.fixture
def semantic(tmp_path: Path) -> Card:
    parts = {}
    for name in ('train', 'val', 'test'):
        part = Part(tmp_path / 'own' / name / 'images', tmp_path / 'own' / name / 'labels', '.tif', '_map.png')
        for folder in (part.images, part.labels):
            folder.mkdir(parents=True)
        parts[name] = part
    palette = ((0, 0, 0), (255, 9, 3))
    return Card(
        'yard', 'semantic', ('no', 'Straße 1'), **parts, palette=palette, ignore_index=7, reduce_zero_label=True
    )


@pytest.fixture
def instances(tmp_path: Path) -> Card:
    (tmp_path / 'photos').mkdir()
    (tmp_path / 'own').mkdir()
    for name in ('train', 'val'):
        (tmp_path / 'own' / f'{name}.json').write_text('{}')
    parts = {name: Part(tmp_path / 'photos', tmp_path / 'own' / f'{name}.json') for name in ('train', 'val')}
    return Card('yard', 'instances', ('cat', '7'), **parts)


@pytest.mark.parametrize('kind', ['semantic', 'instances'])
def test_cards_are_read_as_they_were_written(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    card = request.getfixturevalue(kind)
    assert read_card(write_card(tmp_path / 'own' / 'card.yaml', card)) == card


def test_a_card_that_was_read_is_its_path(instances: Card, tmp_path: Path, monkeypatch) -> None:
    path = write_card(tmp_path / 'own' / 'card.yaml', instances)
    monkeypatch.chdir(path.parent)
    assert os.fspath(read_card('card.yaml')) == str(path)
    with pytest.raises(InputError, match='data card yard: is in no file; write it with write_card'):
        os.fspath(instances)
    path.write_text(f'{path.read_text()}file: card.yaml\n')
    with pytest.raises(InputError, match='unknown file'):
        read_card(path)


def test_a_folder_with_its_card_can_be_moved(semantic: Card, tmp_path: Path, monkeypatch) -> None:
    write_card(tmp_path / 'own' / 'card.yaml', semantic)
    (tmp_path / 'own').rename(tmp_path / 'moved')
    monkeypatch.chdir(tmp_path / 'moved')
    card = read_card('card.yaml')
    assert card.train.images == tmp_path / 'moved' / 'train' / 'images'
    assert list(card.parts) == ['train', 'val', 'test']


def test_images_elsewhere_have_absolute_paths(instances: Card, tmp_path: Path) -> None:
    written = yaml.safe_load(write_card(tmp_path / 'own' / 'card.yaml', instances).read_text())
    assert written['train'] == dict(images=str(tmp_path / 'photos'), labels='train.json')
    assert 'ignore_index' not in written


@pytest.mark.parametrize(
    ('change', 'expected'),
    [
        (dict(task='masks'), "task 'masks' is none of boxes, instances, semantic"),
        (dict(classes=[]), 'expected a list of names'),
        (dict(classes='names.txt'), 'expected a list of names'),
        (dict(classes=['cat', False]), 'has False, which is no name; put it in quotes'),
        (dict(classes=['cat', 'cat']), "has 'cat' twice"),
        (dict(clases=['cat']), 'unknown clases; known are classes'),
        (dict(train=None), 'train has no images and labels'),
        (dict(train='photos'), 'train has no images and labels'),
        (dict(train=dict(images='photos')), 'train.labels is missing'),
        (dict(train=dict(images='photos', labels=7)), 'train.labels is 7; expected a text'),
        (dict(val=dict(images='../photos', labels='gone.json')), 'val.labels: there is no file .*gone.json'),
        (dict(val=dict(images='gone', labels='val.json')), 'val.images: there is no folder .*gone'),
        (dict(palette=[[0, 0, 0]]), 'palette has to have 2 colours'),
        (dict(palette=[[0, 0, 0], [0, 0, 256]]), 'palette has to have 2 colours'),
        (dict(palette=[0, 1]), 'palette has to have 2 colours'),
        (dict(ignore_index=255), 'are for task semantic'),
        (dict(ignore_index='255'), 'expected a number to 65535'),
        (dict(reduce_zero_label='no'), 'expected true or false'),
    ],
)
def test_wrong_cards_are_one_line(instances: Card, tmp_path: Path, change: dict, expected: str) -> None:
    path = write_card(tmp_path / 'own' / 'card.yaml', instances)
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | change))
    with pytest.raises(InputError, match=f'data card .*card.yaml: .*{expected}') as caught:
        read_card(path)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
    ('content', 'expected'),
    [
        (b'a: [', 'cannot be read'),
        (b'\xff\xfe\x00', 'cannot be read'),
        (b'[' * 5000, 'cannot be read'),
        (b'', 'is no data card'),
        (b'- train\n', 'is no data card'),
        (b'path: ../coco\nnames: [a]\n', 'is no data card'),
        (b'task: !!python/object/apply:os.system ["true"]\n', 'cannot be read'),
    ],
)
def test_files_that_are_none_are_one_line(tmp_path: Path, content: bytes, expected: str) -> None:
    (tmp_path / 'card.yaml').write_bytes(content)
    with pytest.raises(InputError, match=expected) as caught:
        read_card(tmp_path / 'card.yaml')
    assert '\n' not in str(caught.value)


def test_absent_cards_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='no such file; mmseq import-data writes one'):
        read_card(tmp_path / 'card.yaml')

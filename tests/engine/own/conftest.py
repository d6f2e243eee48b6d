"""Cards of the embedded shapes: boxes and masks of three classes, and label maps with and without a 0 that is none."""

from dataclasses import replace
from pathlib import Path

import pytest

from mmseq.datasets.own.card import Card, Part, write_card
from mmseq.datasets.shapes import SEG_CLASSES, generate

THREE = ('circle', 'square', 'star')


@pytest.fixture(scope='session')
def cards(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The path of a card by its name, a task or ``all_labels`` for label maps whose 0 is a class."""
    root = tmp_path_factory.mktemp('own')
    generate(root, train=6, val=3, seed=3, size=(96, 128))
    coco, ade = root / 'coco', root / 'ade' / 'ADEChallengeData2016'
    parts = {
        name: Part(coco / f'{name}2017', coco / 'annotations' / f'instances_{name}2017.json')
        for name in ('train', 'val')
    }
    maps = {
        name: Part(ade / 'images' / folder, ade / 'annotations' / folder, '.png', '.png')
        for name, folder in (('train', 'training'), ('val', 'validation'))
    }
    instances = Card('my yard', 'instances', THREE, **parts)
    semantic = Card('my yard', 'semantic', SEG_CLASSES, **maps, reduce_zero_label=True)
    found = dict(
        instances=instances,
        boxes=replace(instances, task='boxes'),
        semantic=semantic,
        all_labels=replace(semantic, classes=('unlabelled', *SEG_CLASSES), reduce_zero_label=False),
    )
    return {name: write_card(root / f'{name}.yaml', card) for name, card in found.items()}

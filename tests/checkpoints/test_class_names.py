"""Classes of a checkpoint beside those of a config."""

from typing import Any

import pytest

from mmseq.checkpoints.class_names import classes_of, difference, exchanged


@pytest.mark.parametrize(
    'checkpoint, found',
    [
        (dict(meta=dict(dataset_meta=dict(classes=['a', 'b']))), ('a', 'b')),
        (dict(meta=dict(dataset_meta=dict(CLASSES=('a',)))), ('a',)),
        (dict(meta=dict(CLASSES=('a', 'b'))), ('a', 'b')),
        (dict(meta=dict(dataset_meta=dict(classes='names.txt'))), ()),
        (dict(meta=dict(dataset_meta='{}')), ()),
        (dict(state_dict={}), ()),
        ([], ()),
    ],
)
def test_classes_of_checkpoints(checkpoint: Any, found: tuple[str, ...]) -> None:
    assert classes_of(checkpoint) == found


@pytest.mark.parametrize(
    'saved, own, said, moved',
    [
        ('abc', 'abc', '', False),
        ('abc', 'acb', "2 of its 3 classes have another name here, first class 1: 'b' in the checkpoint", True),
        ('abc', 'abd', "1 of its 3 classes have another name here, first class 2: 'c'", False),
        ('abc', 'xab', '3 of its 3', True),
        ('abc', 'ab', 'it has 3 classes and the config 2', False),
        ('', 'ab', '', False),
        ('ab', '', '', False),
    ],
)
def test_differences(saved: str, own: str, said: str, moved: bool) -> None:
    assert difference(tuple(saved), tuple(own)).startswith(said)
    assert bool(difference(tuple(saved), tuple(own))) == bool(said)
    assert exchanged(tuple(saved), tuple(own)) == moved

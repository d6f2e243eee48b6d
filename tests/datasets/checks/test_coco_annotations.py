"""Rows of a file as arrays; what is unusual stays as it is."""

import math
from typing import Any

import numpy as np
import pytest

from mmseq.datasets.checks.coco_annotations import (
    ABSENT,
    LIST,
    NO_MASK,
    OTHER,
    POLYGONS,
    RUNS,
    IrregularError,
    arranged,
    joined,
    reaches,
)
from tests.datasets.checks.coco_rows import annotations, images


def test_reaches_by_hand() -> None:
    numbers = np.array([1, 5, 2, 8, 0, 6, 3, 3, 3, 4, 4, math.nan, 0, 0, 1, 1, 2, 2])
    np.testing.assert_array_equal(reaches(numbers, np.array([6, 18])), [[0, 5, 2, 8], [0, math.nan, 4, math.nan]])
    assert reaches(numbers, np.array([], int)).shape == (0, 4)


@pytest.mark.parametrize(
    ('mask', 'form'),
    [
        (None, NO_MASK),
        ([], NO_MASK),
        ({}, NO_MASK),
        ('', NO_MASK),
        ([[1, 2, 3, 4, 5, 6], [0, 9, 1, 1, 1, 1]], POLYGONS),
        ([[]], LIST),
        ([[1, 2, 3, 4]], LIST),
        ([[1, 2, 3, 4, 5, 6, 7]], LIST),
        ([[1, 2, 3, 4, 5, True]], LIST),
        ([[1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 'x']], LIST),
        ([1, 2], LIST),
        (dict(counts='x'), RUNS),
        ('x', OTHER),
        (7, OTHER),
    ],
)
def test_forms_of_masks(mask: Any, form: int) -> None:
    sound = [[0, 1, 2, 3, 4, 5]]
    rows = [
        *annotations(1, segmentation=sound),
        *annotations(1, segmentation=mask),
        *annotations(1, segmentation=sound),
    ]
    found = arranged(rows)
    assert found.forms.tolist() == [POLYGONS, form, POLYGONS]
    assert found.reach[[0, 2]].tolist() == [[0, 1, 4, 5]] * 2
    assert found.masks_as_read == ({} if form in (NO_MASK, POLYGONS) else {1: mask})
    if form == POLYGONS:
        assert found.reach[1].tolist() == [0, 1, 5, 9]
    else:
        assert np.isnan(found.reach[1]).all()


@pytest.mark.parametrize('box', [[], [1, 2, 3], [1, 2, 3, '4'], [1, 2, 3, None], [1, 2, 3, True], [1, 2, 3, [4]]])
def test_boxes_of_no_four_numbers(box: Any) -> None:
    rows = annotations(3)
    rows[1]['bbox'] = box
    found = arranged(rows)
    assert found.boxes_as_read == {1: box}
    assert np.isnan(found.boxes[1]).all()
    assert found.boxes[2].tolist() == rows[2]['bbox']


def test_marks_and_ids() -> None:
    rows = [*annotations(1, iscrowd=None), *annotations(1, iscrowd=1, id='a'), *annotations(1, iscrowd=True, id=2.5)]
    del rows[0]['iscrowd']
    found = arranged(rows)
    assert found.marks_as_read == {0: ABSENT}
    assert found.crowds.tolist()[1:] == [True, True]
    assert [found.id_at(i) for i in range(3)] == [1, 'a', 2.5]
    assert found.image_ids.dtype == np.int64
    assert arranged(annotations(1, id=2**70)).id_at(0) == 2**70


def test_one_after_the_other_and_some() -> None:
    rows = annotations(5, segmentation=dict(size=[1, 1], counts=[1]))
    rows[3]['image_id'] = 99
    rows[4]['bbox'] = [1]
    whole = joined([arranged(rows[:2]), arranged(rows[2:])])
    assert list(whole.masks_as_read) == [0, 1, 2, 3, 4]
    assert whole.boxes_as_read == {4: [1]}
    some = whole.at(np.array([False, True, False, True, True]))
    assert [some.id_at(i) for i in range(len(some))] == [2, 4, 5]
    assert (list(some.masks_as_read), some.boxes_as_read) == ([0, 1, 2], {2: [1]})
    np.testing.assert_array_equal(some.sides(images()), [[100, 80], [math.nan] * 2, [100, 80]])
    assert len(joined([])) == 0


@pytest.mark.parametrize('other', [5, None, [1], dict(id=1), dict(annotations(1)[0], area='x')])
def test_rows_that_are_irregular(other: Any) -> None:
    with pytest.raises(IrregularError):
        arranged([*annotations(2), other])


def test_what_is_not_marked_is_no_crowd() -> None:
    """LVIS and many exporters leave iscrowd out."""
    rows = annotations(3)
    del rows[0]['iscrowd']
    rows[1]['iscrowd'] = 1
    found = arranged(rows)
    assert found.crowds.tolist() == [False, True, bool(rows[2]['iscrowd'])]
    assert found.marks_as_read == {0: ABSENT}

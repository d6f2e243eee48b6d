"""Segmentations that upstream reads wrongly, or ends at, are found in the file."""

import math
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mmseq.datasets.checks.coco_annotations import arranged
from mmseq.datasets.checks.coco_masks import check_masks
from mmseq.datasets.checks.findings import Report
from tests.datasets.checks.coco_rows import Rows, annotations, images

BOX = [10, 5, 20, 20]


def found(rows: Rows, trained: bool = True) -> dict[str, tuple[str, int]]:
    report = Report('file.json')
    check_masks(report, images(), arranged(rows), trained)
    assert all('; ' in finding.message and '\n' not in finding.message for finding in report.findings.values())
    return {kind: (finding.level, finding.count) for kind, finding in report.findings.items()}


def runs(height: int = 80, width: int = 100, compress: bool = True) -> dict[str, Any]:
    mask = np.zeros((height, width), np.uint8, order='F')
    mask[5:25, 10:30] = 1
    if compress:
        coded = coco_mask.encode(mask)
        return dict(size=[height, width], counts=coded['counts'].decode())
    flat = mask.flatten(order='F')
    edges = np.flatnonzero(np.diff(flat)) + 1
    return dict(size=[height, width], counts=np.diff([0, *edges, flat.size]).tolist())


@pytest.mark.parametrize('trained', [True, False])
def test_sound_masks(trained: bool) -> None:
    assert found(annotations(), trained) == {}
    assert found(annotations(bbox=BOX, segmentation=runs()), trained) == {}
    assert found(annotations(bbox=BOX, segmentation=runs(compress=False)), trained) == {}
    mixed = annotations(10) + annotations(5, bbox=BOX, segmentation=runs())
    assert found(mixed + annotations(5, bbox=BOX, segmentation=runs(compress=False)), trained) == {}
    # Parts of an object, drawn a little over the edge.
    parts = [[-2, 5, 10, 5, 10, 20], [12, 5, 30, 5, 30, 25, 12, 25]]
    assert found(annotations(bbox=[0, 5, 30, 20], segmentation=parts), trained) == {}


@pytest.mark.parametrize(
    'other',
    [
        [10, 5, 30, 5, 30, 25],
        [[[10, 5], [30, 5], [30, 25]]],
        'mask.png',
        [['10', '5', '30', '5', '30', '25']],
        [[10, 5, 30, 5, None, 25]],
        [dict(size=[80, 100], counts='x')],
        dict(counts='x'),
        dict(size=[80, 100]),
        dict(size=[80, 100], counts=None),
        dict(size=[80], counts=[8000]),
        dict(size=['80', '100'], counts=[8000]),
        7,
    ],
)
@pytest.mark.parametrize('trained', [True, False])
def test_other_forms(other: Any, trained: bool) -> None:
    rows = annotations()
    rows[3]['segmentation'] = other
    assert found(rows, trained) == {'malformed_masks': ('error', 1)}


@pytest.mark.parametrize('other', [None, [], {}, ''])
def test_no_masks(other: Any) -> None:
    rows = annotations()
    rows[3]['segmentation'] = other
    assert found(rows) == {'no_mask': ('error', 1)}
    del rows[3]['segmentation']
    assert found(rows, trained=False) == {'no_mask': ('error', 1)}


@pytest.mark.parametrize('other', [[[]], [[1, 2]], [[1, 2, 3, 4]], [BOX], [[1, 2, 3, 4, 5, 6, 7]]])
def test_polygons_without_an_area(other: Any) -> None:
    assert found(annotations(segmentation=other)) == {'short_polygons': ('error', 20)}
    rows = annotations(200)[:1] * 200
    rows[3] = rows[3] | dict(segmentation=other)
    assert found(rows) == {'short_polygons': ('warning', 1)}
    assert found(rows, trained=False) == {'short_polygons': ('error', 1)}
    # The loader leaves such a polygon out beside others; the evaluation takes four numbers for a box.
    rows[3] = rows[3] | dict(segmentation=[*other, *rows[0]['segmentation']])
    assert found(rows) == {}
    assert found(rows, trained=False) == {'short_polygons': ('error', 1)}


@pytest.mark.parametrize(
    'value, kind',
    [(math.nan, 'not_finite_masks'), (math.inf, 'not_finite_masks'), (1e7, 'far_masks'), (-150, 'far_masks')],
)
def test_coordinates_that_cannot_be_drawn(value: float, kind: str) -> None:
    rows = annotations()
    rows[3]['segmentation'][0][2] = value
    assert found(rows) == {kind: ('error', 1)}


@pytest.mark.parametrize('compress', [True, False])
def test_runs_of_another_size(compress: bool) -> None:
    report = Report('file.json')
    check_masks(report, images(), arranged(annotations(bbox=BOX, segmentation=runs(100, 80, compress))), True)
    assert 'is 100 x 80, its image 80 x 100 (height x width); write height first' in report.errors()[0].message
    assert found(annotations(bbox=BOX, segmentation=runs(160, 200, compress))) == {'mask_size': ('error', 20)}


@pytest.mark.parametrize(
    'counts',
    [[7000], [-5, 8005], [9000], 'junk', runs(60, 100)['counts'], runs()['counts'][:-1], runs()['counts'] + '1'],
)
def test_counts_that_do_not_cover_the_image(counts: Any) -> None:
    rows = annotations(bbox=BOX, segmentation=runs())
    rows[3]['segmentation'] = dict(size=[80, 100], counts=counts)
    assert found(rows) == {'mask_counts': ('error', 1)}


def test_masks_beside_their_boxes() -> None:
    assert found(annotations(bbox=[60, 50, 20, 20], segmentation=runs())) == {'mask_beside_box': ('error', 20)}
    rows = annotations()
    for row in rows[::4]:
        row['segmentation'] = [[x / 4 for x in row['segmentation'][0]]]
    assert found(rows) == {'mask_beside_box': ('warning', 5)}

"""Boxes that are of another kind than COCO's are named as what they are."""

import pytest

from mmseq.datasets.checks.coco_annotations import arranged
from mmseq.datasets.checks.coco_boxes import check_boxes
from mmseq.datasets.checks.findings import Report
from tests.datasets.checks.coco_rows import Rows, annotations, images


def found(rows: Rows) -> Report:
    report = Report('file.json')
    check_boxes(report, images(), arranged(rows))
    return report


def test_fractions() -> None:
    (finding,) = found(annotations(bbox=[0.1, 0.2, 0.5, 0.4])).errors()
    assert (finding.kind, finding.count) == ('other_boxes', 20)
    assert 'lie between 0 and 1, as fractions of the image' in finding.message


@pytest.mark.parametrize('fitting', [0, 6])
def test_two_corners(fitting: int) -> None:
    # Near the left and top edge they fit as sizes, too.
    rows = annotations(14, bbox=[60, 50, 95, 75]) + annotations(fitting, bbox=[1, 2, 40, 30])
    (finding,) = found(rows).errors()
    assert 'are two corners' in finding.message


def test_boxes_that_reach_out_are_no_corners() -> None:
    rows = annotations(14, bbox=[60, 50, 45, 35])
    assert [finding.kind for finding in found(rows).warnings()] == ['protruding_boxes']
    assert found(annotations()).findings == {}

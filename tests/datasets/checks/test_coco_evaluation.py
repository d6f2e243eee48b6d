"""What ends COCO's evaluation in a traceback is found before."""

import contextlib
import copy
import io
from typing import Any

import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mmseq.datasets.checks.coco_annotations import arranged
from mmseq.datasets.checks.coco_evaluation import check_evaluated
from mmseq.datasets.checks.findings import Report
from tests.datasets.checks.coco_rows import Rows, annotations, images


def evaluate(pictures: Rows, rows: Rows) -> None:
    """As upstream's metric does: the truth as predictions."""
    truth = COCO()
    truth.dataset = copy.deepcopy(dict(images=pictures, annotations=rows, categories=[dict(id=1, name='a')]))
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        keys = ('image_id', 'category_id', 'bbox')
        predicted = truth.loadRes([{key: row[key] for key in keys} | dict(score=0.9) for row in rows])
        judge = COCOeval(truth, predicted, 'bbox')
        judge.params.imgIds = truth.getImgIds()
        judge.evaluate()
        judge.accumulate()


def found(rows: Rows, pictures: Rows | None = None) -> dict[str, int]:
    report = Report('file.json')
    check_evaluated(report, pictures or images(), [dict(id=1, name='a')], arranged(rows))
    assert all(finding.level == 'error' and '; ' in finding.message for finding in report.findings.values())
    return report.counts()


def test_sound_annotations() -> None:
    evaluate(images(), annotations())
    assert found(annotations()) == {}
    assert found(annotations(iscrowd=False)) == {}


def without_crowd() -> Rows:
    return [{key: value for key, value in row.items() if key != 'iscrowd'} for row in annotations()]


@pytest.mark.parametrize('rows', [without_crowd(), annotations(iscrowd=None), annotations(iscrowd='no')])
def test_crowds_without_a_mark(rows: Rows) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        evaluate(images(), rows)
    assert found(rows) == {'iscrowd': 20}


@pytest.mark.parametrize('name', ['b1f8a2d0-7c', 'ann-{}'])
def test_annotations_that_are_not_numbered(name: str) -> None:
    rows = [row | dict(id=f'{name}{k}') for k, row in enumerate(annotations())]
    with pytest.raises(ValueError, match='could not convert'):
        evaluate(images(), rows)
    assert found(rows) == {'annotation_ids': 20}


def test_numbers_written_as_text_are_numbers() -> None:
    rows = [row | dict(id=str(row['id'])) for row in annotations()]
    evaluate(images(), rows)
    assert found(rows) == {}


@pytest.mark.parametrize('other', ['scene', '3'])
def test_ids_of_two_types(other: Any) -> None:
    pictures = [*images()[:3], images()[3] | dict(id=other)]
    assert found(annotations(8), pictures) == {'mixed_ids': 1}
    # All text is fine.
    texts = [row | dict(id=str(row['id'])) for row in images()]
    assert found(annotations(8), texts) == {}

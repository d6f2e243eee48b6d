"""What the loader leaves out is counted as upstream's data set does it."""

import json
from pathlib import Path
from typing import Any

import pytest

from mmseq.datasets.checks.coco_annotations import arranged
from mmseq.datasets.checks.coco_dropped import check_dropped
from mmseq.datasets.checks.findings import Report
from mmseq.datasets.checks.use import Use
from tests.datasets.checks.coco_rows import Rows, annotations, images

FAULTS: list[tuple[dict[str, Any], str]] = [
    (dict(area=0), 'with an area of 0'),
    (dict(area=-1.0), 'with an area of 0'),
    (dict(ignore=1), 'with ignore'),
    (dict(ignore=True), 'with ignore'),
    (dict(bbox=[3, 3, 0.5, 20]), 'narrower than a pixel'),
    (dict(bbox=[300, 3, 20, 20]), 'outside their image'),
    (dict(iscrowd=1), 'with iscrowd'),
]


def found(rows: Rows, use: Use = Use()) -> Report:  # noqa: B008
    report = Report('file.json')
    check_dropped(report, images(), arranged(rows), use)
    return report


def kept_by_upstream(rows: Rows, folder: Path, filter_cfg: dict | None = None) -> int:
    """How many objects upstream's data set trains on."""
    from mmdet.datasets import CocoDataset

    path = folder / 'a.json'
    path.write_text(json.dumps(dict(images=images(), annotations=rows, categories=[dict(id=1, name='a')])))
    data = CocoDataset(
        ann_file=str(path), metainfo=dict(classes=('a',)), data_prefix=dict(img=''), filter_cfg=filter_cfg
    )
    instances = [item for k in range(len(data)) for item in data.get_data_info(k)['instances']]
    return sum(not item['ignore_flag'] for item in instances)


@pytest.mark.parametrize('fault, why', FAULTS)
def test_nothing_left_is_an_error(fault: dict[str, Any], why: str, tmp_path: Path) -> None:
    rows = annotations(**fault)
    assert kept_by_upstream(rows, tmp_path) == 0
    (finding,) = found(rows).findings.values()
    assert (finding.kind, finding.level) == ('nothing_left', 'error')
    assert f'20 of 20 annotations are left out by the loader (20 {why})' in finding.message
    assert '; ' in finding.message


@pytest.mark.parametrize('area', [-1, -0.5, 1e11, float('nan')])
def test_areas_that_cocos_evaluation_ignores(area: float) -> None:
    (finding,) = found(annotations(area=area), Use(trained=False)).findings.values()
    assert (finding.kind, finding.level) == ('nothing_left', 'error')
    assert '(20 with no possible area), so nothing is measured; write the area in square pixels' in finding.message
    assert not found(annotations(area=0), Use(trained=False)).findings


@pytest.mark.parametrize('fault, why', FAULTS)
def test_much_left_out_is_a_warning_with_the_number(fault: dict[str, Any], why: str, tmp_path: Path) -> None:
    rows = annotations()
    rows[::3] = [row | fault for row in rows[::3]]
    assert kept_by_upstream(rows, tmp_path) == 13
    (finding,) = found(rows).findings.values()
    assert (finding.kind, finding.level, finding.count) == ('dropped', 'warning', 7)
    assert f'7 of 20 annotations are left out by the loader (7 {why})' in finding.message


def test_reasons_together_leave_nothing() -> None:
    rows = annotations(10, area=0) + annotations(10, iscrowd=1)
    (finding,) = found(rows).errors()
    assert '(10 with an area of 0, 10 with iscrowd)' in finding.message


def test_a_few_crowds_are_usual() -> None:
    rows = annotations()
    rows[0]['iscrowd'] = 1
    assert found(rows).findings == {}


def test_images_below_min_size(tmp_path: Path) -> None:
    filters = dict(min_size=81, filter_empty_gt=True)
    with pytest.raises(ValueError, match='at least one array'):
        kept_by_upstream(annotations(), tmp_path, filters)
    report = found(annotations(), Use(min_size=81))
    assert report.counts() == {'nothing_left': 20, 'no_images_left': 4}
    assert 'filter_cfg.min_size=81' in report.findings['no_images_left'].message
    assert kept_by_upstream(annotations(), tmp_path, dict(min_size=80)) == 20
    assert found(annotations(), Use(min_size=80)).findings == {}


def test_images_without_objects() -> None:
    rows = annotations(image_id=2)
    assert found(rows).findings == {}
    finding = found(rows, Use(filter_empty=True)).findings['empty_images']
    assert (finding.level, finding.count) == ('warning', 3)


def test_masks_that_stay_polygons() -> None:
    rows = annotations(segmentation=dict(size=[80, 100], counts=[8000]))
    assert found(rows).findings == {}
    assert found(rows, Use(polygons=True)).findings['nothing_left'].level == 'error'


def test_evaluation_leaves_only_crowds_out() -> None:
    use = Use(trained=False)
    assert found(annotations(area=0, ignore=1), use).findings == {}
    assert 'nothing is measured' in found(annotations(iscrowd=1), use).findings['nothing_left'].message

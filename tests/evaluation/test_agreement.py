"""Predictions on an image beside those on a view of it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmseq.evaluation.agreement import compare_instances, compare_labels, pair
from mmseq.evaluation.places import GRID
from mmseq.files import write_png


def test_label_maps_agree_where_both_see(tmp_path: Path) -> None:
    one = np.zeros((16, 16), np.uint8)
    one[:, 8:] = 1
    two = one.copy()
    # four pixels in a corner, and the column that leaves the view
    two[:2, :2] = 1
    two[:, -1] = 2
    for folder, labels in (('plain', one), ('view', two)):
        write_png(tmp_path / folder / '0.png', labels)
    found = compare_labels(tmp_path / 'plain', tmp_path / 'view', 'shift_right', 1, 3)
    assert found['agreement'] == pytest.approx(100 * (240 - 4) / 240)
    assert found['mIoU'] == pytest.approx(50 * (124 / 128 + 112 / 116))
    assert found['place']['grid'][0] == 0
    assert found['place']['grid'][1] == 100
    # the last cell of the first row has one column left
    assert found['place']['grid'][GRID - 1] == 100
    assert compare_labels(tmp_path / 'plain', tmp_path / 'view', 'flip_vertical', 1, 3)['agreement'] < 95


def row(left: float, score: float = 0.9, label: int = 0) -> dict[str, Any]:
    return dict(bbox=[left, 10.0, 20.0, 20.0], score=score, label=label)


def test_detections_are_paired_by_class_and_overlap() -> None:
    one, two = [row(0), row(50), row(90)], [row(52), row(4), row(0, label=1)]
    assert [(i, j) for i, j, _ in pair(one, two)] == [(1, 0), (0, 1)]
    assert pair(one, two)[0][2] == pytest.approx(18 / 22)
    assert pair([], two) == pair(one, []) == []
    # one detection has one partner
    assert len(pair([row(0)], [row(1), row(2)])) == 1


def test_files_of_detections(tmp_path: Path) -> None:
    sizes = [[100, 200], [100, 200]]
    files = dict(plain=[[row(0), row(100, 0.5)], [row(100)]], view=[[row(0, 0.7), row(150, 0.2)], []])
    for name, detections in files.items():
        (tmp_path / name).write_text(json.dumps(dict(images=[1, 2], sizes=sizes, detections=detections)))
    found = compare_instances(tmp_path / 'plain', tmp_path / 'view')
    assert found['detections'] == [3, 1]
    assert found['agreement'] == pytest.approx(50)
    assert (found['overlap'], found['score_change']) == (1, pytest.approx(0.2))
    # the first one's centre is 10 pixels from the left side, the others' 20 from the top
    assert found['place']['bands'][:4] == [None, None, 100, 0]
    nothing = compare_instances(tmp_path / 'plain', tmp_path / 'view', least=0.95)
    assert (nothing['agreement'], nothing['overlap']) == (None, None)

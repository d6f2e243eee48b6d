"""Lines that pycocotools and mmengine print, and the table that mmdet collects of them."""

import contextlib
import io

import pytest
from mmengine.logging import print_log
from pycocotools import coco, cocoeval

from mmseq.compat.upstream_prints import upstream_prints


def test_lines_go_where_they_are_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    lines: list[str] = []
    with upstream_prints(lines.append):
        empty = coco.COCO()
        empty.dataset = {'images': [], 'annotations': [], 'categories': []}
        empty.createIndex()
        print_log('without a logger')
    assert lines == ['creating index...', 'index created!', 'without a logger']
    assert capsys.readouterr().out == ''
    empty.createIndex()
    assert capsys.readouterr().out == 'creating index...\nindex created!\n'


def test_what_is_collected_stays_collected() -> None:
    with upstream_prints(pytest.fail), contextlib.redirect_stdout(io.StringIO()) as table:
        cocoeval.print('a row', 'of figures')
    assert table.getvalue() == 'a row of figures\n'

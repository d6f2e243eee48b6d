"""Values of label maps: masks drawn in 255, labels of more than 8 bits, subsets of the classes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mmseq.datasets.checks import Report, Use, examine_seg


def found(folder: Path, maps: list[np.ndarray], num_classes: int, **options: Any) -> Report:
    """The report on label maps, each beside an image of its size."""
    for name in ('images', 'labels'):
        (folder / name).mkdir(exist_ok=True)
    for k, labels in enumerate(maps):
        Image.fromarray(labels).save(folder / 'labels' / f'{k}.png')
        Image.new('RGB', labels.shape[::-1]).save(folder / 'images' / f'{k}.png')
    options = dict(reduce_zero_label=False) | options
    report = examine_seg(
        str(folder / 'images'), str(folder / 'labels'), '.png', '.png', num_classes=num_classes, **options
    )
    assert all('; ' in finding.message for finding in report.errors())
    return report


def label_map(*values: int, dtype: type = np.uint8) -> np.ndarray:
    return np.resize(np.array(values, dtype), (6, 8))


@pytest.mark.parametrize('options', [{}, dict(ignore_index=254), dict(reduce_zero_label=True), dict(ignore_index=0)])
@pytest.mark.parametrize('num_classes', [1, 2, 5])
def test_masks_drawn_in_255(options: dict[str, Any], num_classes: int, tmp_path: Path) -> None:
    report = found(tmp_path, [label_map(0, 255)] * 3, num_classes, **options)
    (finding,) = report.errors()
    assert (finding.kind, finding.count) == ('drawn_in_255', 3)
    assert 'write 1 for the foreground' in finding.message


@pytest.mark.parametrize('options', [{}, dict(ignore_index=254)])
def test_some_drawn_in_255_and_some_in_1(options: dict[str, Any], tmp_path: Path) -> None:
    report = found(tmp_path, [label_map(0, 1), label_map(0, 255), label_map(0)], 2, **options)
    (finding,) = report.errors()
    assert (finding.kind, finding.count) == ('drawn_in_255', 1)
    assert '1 of the 3 label maps' in finding.message


def test_borders_in_255_are_fine(tmp_path: Path) -> None:
    assert found(tmp_path, [label_map(0, 1, 255), label_map(0, 255), label_map(0, 1)], 2).errors() == []


def test_a_smoothed_mask(tmp_path: Path) -> None:
    (finding,) = found(tmp_path, [label_map(*range(0, 256, 5))], 2).errors()
    assert 'smoothed or lossy picture' in finding.message


def test_labels_of_more_than_8_bits(tmp_path: Path) -> None:
    """mmseg's loader keeps 8 bits: 300 becomes 44, and the check called it a class."""
    maps = [label_map(0, 1, 299, 300, dtype=np.uint16)]
    report = found(tmp_path, maps, 301)
    assert list(report.counts()) == ['too_many_classes', 'sixteen_bit_labels', 'absent_classes']
    assert 'label value 300' in report.findings['sixteen_bit_labels'].message
    assert 'makes 44 of it' in report.findings['sixteen_bit_labels'].message
    assert found(tmp_path, maps, 301, eight_bits=False).errors() == []
    # 16 bits that hold small labels are fine.
    assert found(tmp_path, [label_map(0, 1, dtype=np.uint16)], 2).errors() == []
    assert found(tmp_path, [label_map(*range(255))], 255).errors() == []
    assert found(tmp_path, [label_map(*range(255))], 256).errors()[0].kind == 'too_many_classes'


@pytest.mark.parametrize('reduce_zero_label', [False, True])
def test_a_subset_of_the_classes_is_renumbered(reduce_zero_label: bool, tmp_path: Path) -> None:
    first = 1 if reduce_zero_label else 0
    options = dict(reduce_zero_label=reduce_zero_label, label_map={0: 255, 1: 0, 2: 255, 3: 1})
    report = found(tmp_path, [label_map(*range(first, first + 4))], 2, **options)
    assert report.findings == {}
    # What the data set itself does not know stays wrong.
    (finding,) = found(tmp_path, [label_map(first + 1, first + 5)], 2, **options).errors()
    assert f'allows {first}..{first + 3}' in finding.message


def test_images_without_labels(tmp_path: Path) -> None:
    found(tmp_path, [label_map(0, 1)], 2)
    (tmp_path / 'images' / '1.png').write_bytes(b'')
    report = examine_seg(str(tmp_path / 'images'), '', '.png', '.png', 2, False, use=Use(labelled=False))
    assert (report.total, report.counts()) == (2, {'zero_bytes': 1})


def test_hidden_files_are_passed_over(tmp_path: Path) -> None:
    found(tmp_path, [label_map(0, 1)], 2)
    (tmp_path / 'images' / '._0.png').write_bytes(b'x')
    (tmp_path / 'labels' / '._0.png').write_bytes(b'x')
    assert found(tmp_path, [label_map(0, 1)], 2).findings == {}


def test_a_blank_line_in_a_list_of_names(tmp_path: Path) -> None:
    (tmp_path / 'names.txt').write_text('0\n\n')
    (finding,) = found(tmp_path, [label_map(0, 1)], 2, ann_file=str(tmp_path / 'names.txt')).errors()
    assert 'line 2 is blank' in finding.message

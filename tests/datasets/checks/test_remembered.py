"""A check that passed is not made again, until anything that it depends on changes."""

import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from mmseq.config import load_config
from mmseq.datasets.checks import Report, examine_coco
from mmseq.datasets.checks import remembered as module
from mmseq.datasets.checks.remembered import remembered
from mmseq.datasets.shapes import generate
from mmseq.engine.preflight import check_datasets
from mmseq.explain.work import Work

DET = str(Path(__file__).parents[3] / 'configs' / 'mask_rcnn_seq2d_nano_shapes.py')


@pytest.fixture
def checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """How many checks a start makes; its keywords are those of the check."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    monkeypatch.setattr(module, 'LARGE', 0)
    generate(tmp_path / 'shapes', train=3, val=1, seed=0)
    made: list[Report] = []
    last: dict[str, Report] = {}

    def examine(*args: object, **options: object) -> Report:
        made.append(examine_coco(*args, **options))
        return made[-1]

    def start(sample: int = 2, **keywords: object) -> int:
        before = len(made)
        coco = tmp_path / 'shapes' / 'coco'
        files = (str(coco / 'annotations/instances_train2017.json'), str(coco / 'train2017'))
        found = remembered(partial(examine, *files, keywords.get('classes')), sample=sample)
        if len(made) > before:
            last[str((sample, keywords))] = made[-1]
        assert found.record() == last[str((sample, keywords))].record()
        return len(made) - before

    return start


def rewrite(path: Path, change: Callable[[dict], object]) -> None:
    """Another content of the same size and time."""
    content, times = json.loads(path.read_text()), os.stat(path)
    change(content)
    path.write_text(json.dumps(content))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_until_something_changes(checked: Callable[..., int], tmp_path: Path) -> None:
    coco = tmp_path / 'shapes' / 'coco'
    truth = coco / 'annotations/instances_train2017.json'
    rewrite(truth, lambda content: None)
    assert [checked(), checked()] == [1, 0]
    assert [checked(sample=1), checked(sample=1), checked()] == [1, 0, 0]
    assert [checked(classes=['disc']), checked()] == [1, 0]
    rewrite(truth, lambda content: content['annotations'][0].update(area=content['annotations'][0]['area'] + 1))
    assert [checked(), checked()] == [1, 0]
    (coco / 'train2017' / 'more.png').write_bytes(b'')
    assert [checked(), checked()] == [1, 0]


def test_warnings_stay_and_errors_are_found_again(checked: Callable[..., int], tmp_path: Path) -> None:
    truth = tmp_path / 'shapes/coco/annotations/instances_train2017.json'
    rewrite(truth, lambda content: content['categories'].append(dict(id=99, name='ghost')))
    # the fixture compares the findings
    assert [checked(), checked()] == [1, 0]
    rewrite(truth, lambda content: content['annotations'][0].update(category_id=77))
    assert [checked(), checked()] == [1, 1]


def test_what_is_remembered_is_whole_or_not_at_all(checked: Callable[..., int], tmp_path: Path) -> None:
    assert checked() == 1
    (file,) = (tmp_path / 'cache/mmseq/checks').iterdir()
    file.write_text(file.read_text()[:100])
    assert [checked(), checked()] == [1, 0]


def test_a_folder_that_cannot_be_written(
    checked: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(module, 'print_log', lambda text, logger: said.append(text))
    (tmp_path / 'cache').write_text('')
    assert [checked(), checked()] == [1, 1]
    assert 'cannot be written' in said[0]


def test_a_run_remembers(checked: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('MMSEQ_DATA', str(tmp_path))
    said: list[str] = []
    monkeypatch.setattr(module, 'print_log', lambda text, logger: said.append(text))
    for _ in range(2):
        check_datasets(Work('training', DET, load_config(DET, {}, str(tmp_path / 'out'))), ('train_dataloader',))
    (line,) = said
    assert 'instances_train2017.json is unchanged since it passed at 20' in line

"""The command's counts, files and exit status."""

import json
from pathlib import Path

import pytest

from mmseq.cli import check_data
from mmseq.config import load_config
from mmseq.datasets.shapes import generate
from mmseq.engine.preflight import check_datasets, examine_datasets
from mmseq.errors import InputError
from mmseq.explain.work import Work

ROOT = Path(__file__).parents[2]
SEG = str(ROOT / 'configs' / 'upernet_seq2d_nano_shapes.py')
DET = str(ROOT / 'configs' / 'mask_rcnn_seq2d_nano_shapes.py')


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    generate(tmp_path / 'shapes', train=4, val=2, seed=0)
    monkeypatch.setenv('MMSEQ_DATA', str(tmp_path))
    return tmp_path / 'shapes'


@pytest.mark.parametrize('config', [SEG, DET])
def test_sound_data(config: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert check_data.main([config, '--all', '--work-dir', str(tmp_path / 'out')]) == 0
    report = json.loads((tmp_path / 'out' / 'data_check.json').read_text())
    assert report['errors'] == 0
    # Validation and test read the same files.
    assert [entry['images_opened'] for entry in report['datasets']] == [4, 2]
    printed = capsys.readouterr().out
    assert '4 images, 4 opened' in printed
    assert printed.endswith(f'next: mmseq train {config}\n')


def test_first_cause_in_one_line(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (data / 'coco/train2017/000000000002.png').write_bytes(b'')
    (data / 'coco/train2017/000000000003.png').write_bytes(b'text')
    assert check_data.main([DET, '--work-dir', str(tmp_path / 'out')]) == 1
    out, err = capsys.readouterr()
    assert err.count('error: ') == 1
    assert err.strip().endswith('000000000002.png: is empty (0 bytes); fetch it again')
    assert 'error zero_bytes 1: ' in out
    assert 'error undecodable 1: ' in out


def test_absent_data_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setenv('MMSEQ_DATA', str(tmp_path / 'nowhere'))
    assert check_data.main([SEG, '--work-dir', str(tmp_path / 'out')]) == 1
    assert 'no such folder' in capsys.readouterr().err


def test_sample_takes_a_number(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as stop:
        check_data.main([SEG, '--sample', '0'])
    assert stop.value.code == 2


def test_progress_shows_what_is_left(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(100))
    monkeypatch.setattr(check_data.time, 'monotonic', lambda: 2 * next(clock))
    assert list(check_data.progress('abc', 3)) == ['a', 'b', 'c']
    assert '2/3 images, 2 s left' in capsys.readouterr().err


def test_before_a_run_warnings_are_logged_and_errors_end_it(data: Path, tmp_path: Path) -> None:
    work = Work('training', DET, load_config(DET, {}, str(tmp_path / 'out')))
    check_datasets(work, ('train_dataloader',))
    assert json.loads((tmp_path / 'out' / 'data_check.json').read_text())['errors'] == 0
    path = data / 'coco/annotations/instances_train2017.json'
    content = json.loads(path.read_text())
    content['annotations'][0].pop('segmentation')
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match='have no segmentation'):
        check_datasets(work, ('train_dataloader',))
    assert examine_datasets(work, ('test_dataloader',))[0].errors() == []

"""The doctor in good health, and over installations where something is missing or broken."""

import builtins
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mmseq import doctor
from mmseq.compat import versions
from mmseq.doctor import Finding, examine, main, report

MODULES = [requirement.module for requirement in versions.REQUIREMENTS]


def by_item(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.item: finding for finding in findings}


def run_with_stubs(folder: Path, stubs: dict[str, str], *options: str) -> tuple[int, dict[str, dict], str]:
    """Run the doctor where `stubs` (module name to source) come before what is installed."""
    for name, source in stubs.items():
        (folder / 'stubs' / name).mkdir(parents=True)
        (folder / 'stubs' / name / '__init__.py').write_text(source)
    out = folder / 'doctor.json'
    done = subprocess.run(
        [sys.executable, '-m', 'mmseq.doctor', '--json', str(out), *options],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, 'PYTHONPATH': str(folder / 'stubs')},
    )
    assert 'Traceback' not in done.stdout + done.stderr, done.stderr
    return done.returncode, {finding['item']: finding for finding in json.loads(out.read_text())}, done.stdout


def test_healthy_installation(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(['--work-dir', str(tmp_path / 'not' / 'yet'), '--json', str(tmp_path / 'doctor.json')]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == 'all checks passed'
    assert all(line.startswith(('PASS  ', 'INFO  ')) for line in lines[:-1])
    findings = {finding['item']: finding for finding in json.loads((tmp_path / 'doctor.json').read_text())}
    assert findings.keys() >= {
        'python',
        *MODULES,
        'OpenMMLab',
        'torch + torchvision',
        'mmcv operators',
        'operator self test',
        'checkpoint round trip',
        'triton',
        'distributed',
        'data root',
        'disk',
    }
    assert findings['mmcv operators']['detail'] in ('torchvision stand-in of mmseq', 'compiled mmcv')
    assert len(lines) == len(findings) + 1


def test_help_has_an_example(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(['--help'])
    assert stopped.value.code == 0
    assert 'mmseq doctor --work-dir' in capsys.readouterr().out


def test_everything_absent(tmp_path: Path) -> None:
    absent = "raise ModuleNotFoundError('No module named ' + __name__)\n"
    stubs = dict.fromkeys(('torch', 'torchvision', 'mmengine', 'mmcv', 'mmdet', 'mmseg', 'triton', 'numpy'), absent)
    status, findings, text = run_with_stubs(tmp_path, stubs)
    assert status == 1
    for name in ('torch', 'torchvision', 'mmengine', 'mmcv', 'mmdet', 'mmseg', 'torch + torchvision'):
        assert findings[name]['status'] == 'FAIL', name
        assert 'pip install' in findings[name]['todo']
    for item in ('mmcv operators', 'checkpoint round trip', 'gpu', 'distributed'):
        assert findings[item]['status'] == 'FAIL'
        assert 'No module named' in findings[item]['detail']
    assert findings['triton']['status'] == 'INFO'
    assert findings['disk']['status'] == 'PASS'
    assert text.splitlines()[-1].endswith('checks failed')


def test_ill_matched_pair_is_named(tmp_path: Path) -> None:
    stub = {'torchvision': "raise RuntimeError('operator torchvision::nms does not exist')\n"}
    status, findings, _ = run_with_stubs(tmp_path, stub)
    assert status == 1
    assert 'operator torchvision::nms does not exist' in findings['torch + torchvision']['todo']
    assert findings['torch']['status'] == 'PASS'


@pytest.mark.parametrize('error', ['OSError', 'AttributeError', 'AssertionError', 'KeyError'])
def test_package_that_breaks_on_import(error: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.import_module

    def broken(name: str) -> object:
        if name == 'mmdet':
            raise getattr(builtins, error)('MMCV==9 is used but incompatible')
        return real(name)

    monkeypatch.setattr(doctor.importlib, 'import_module', broken)
    finding = by_item(list(doctor.check_packages()))['mmdet']
    assert finding.status == 'FAIL'
    assert f'{error}: ' in finding.detail
    assert 'MMCV==9' in finding.detail
    assert 'mmdet==3.3.0' in finding.todo


def test_packages_of_two_lines_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, 'line_problem', lambda: 'mmdet and onedl-mmcv are of two lines')
    assert by_item(list(doctor.check_line()))['OpenMMLab'].status == 'FAIL'


def test_wrong_operators_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    ops = importlib.import_module('mmcv.ops')
    real = ops.roi_align
    monkeypatch.setattr(ops, 'roi_align', lambda *arguments: real(*arguments) * 2)
    assert by_item(list(doctor.check_operators()))['operator self test'].status == 'FAIL'


def test_wrong_checkpoints_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    storage = importlib.import_module('mmseq.checkpoints.storage')
    real = storage.load_file
    monkeypatch.setattr(storage, 'load_file', lambda path: {key: -value for key, value in real(path).items()})
    assert [finding.status for finding in doctor.check_checkpoint()] == ['FAIL']


def test_failure_gives_status_one(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(doctor, 'examine', lambda work_dir: [Finding('FAIL', 'item', 'detail', 'mend it')])
    assert main([]) == 1
    assert capsys.readouterr().out == 'FAIL  item  detail  -> mend it\n1 of 1 checks failed\n'


def test_full_disk_and_data_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.shutil, 'disk_usage', lambda folder: type('Usage', (), {'free': 2**28}))
    assert [finding.status for finding in doctor.check_disk(str(tmp_path))] == ['FAIL']
    monkeypatch.setenv('MMSEQ_DATA', str(tmp_path))
    assert [finding.detail for finding in doctor.check_data()] == [f'{tmp_path} (MMSEQ_DATA)']
    monkeypatch.setenv('MMSEQ_DATA', str(tmp_path / 'absent'))
    assert 'no such directory' in next(doctor.check_data()).detail


def test_unwritable_json_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(doctor, 'examine', lambda work_dir: [Finding('PASS', 'item', 'detail')])
    (tmp_path / 'file').touch()
    assert main(['--json', str(tmp_path / 'file' / 'doctor.json')]) == 2
    assert 'cannot be written' in capsys.readouterr().err


def test_one_broken_check_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError('driver too old\nsecond line')

    monkeypatch.setattr(doctor, 'check_gpu', broken)
    monkeypatch.setattr(doctor, 'check_packages', lambda: iter(()))
    findings = by_item(examine('.'))
    assert findings['gpu'].status == 'FAIL'
    assert findings['gpu'].detail == 'cannot run: RuntimeError: driver too old'
    assert findings['disk'].status == 'PASS'


def test_columns_are_aligned() -> None:
    lines = report([Finding('PASS', 'a', 'x'), Finding('FAIL', 'longer', 'detail', 'todo')]).splitlines()
    assert lines == ['PASS  a       x', 'FAIL  longer  detail  -> todo']


def test_tool_is_the_same_program(tmp_path: Path) -> None:
    tool = Path(doctor.__file__).parents[1] / 'tools' / 'doctor.py'
    done = subprocess.run([sys.executable, str(tool), '--help'], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert '--work-dir' in done.stdout

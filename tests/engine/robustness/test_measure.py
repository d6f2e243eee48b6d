"""Measurements of models with fresh weights on two images: what is run, kept and run again."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mmseq.cli import robustness as command
from mmseq.datasets.shapes import generate
from mmseq.engine.launch import evaluate
from mmseq.engine.robustness.measure import FIGURES, Measured, folder_for, folder_of, measure
from mmseq.engine.robustness.steps import QUICK_VIEWS, Asked, Step
from mmseq.errors import InputError
from mmseq.files import write_json
from mmseq.model.trained import load_trained

CONFIGS = Path(__file__).parents[3] / 'configs'
TASKS = dict(seg='upernet_seq2d_nano_shapes', det='mask_rcnn_seq2d_nano_shapes')
VIEWS = ('plain', *QUICK_VIEWS)
Make = Callable[..., Measured]


@pytest.fixture(scope='module')
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fresh weights of both tasks, and data."""
    root = tmp_path_factory.mktemp('robustness')
    generate(root / 'data' / 'shapes', train=1, val=2, seed=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('MMSEQ_DATA', str(root / 'data'))
        for task, name in TASKS.items():
            torch.manual_seed(0)
            _, model = load_trained(str(CONFIGS / f'{name}.py'), None, device='cpu')
            if task == 'det':
                # Else nothing is surer than 0.05.
                model.roi_head.bbox_head.fc_cls.weight.data *= 60
            torch.save(dict(state_dict=model.state_dict(), meta={}), root / f'{task}.pth')
    return root


@pytest.fixture
def make(checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    monkeypatch.setenv('MMSEQ_DATA', str(checkpoints / 'data'))

    def make(task: str, *parts: str, quick: bool = True) -> Measured:
        config = str(CONFIGS / f'{TASKS[task]}.py')
        return Measured(config, str(checkpoints / f'{task}.pth'), tmp_path / 'out', Asked(parts, quick))

    return make


def run(measured: Measured) -> list[str]:
    """The evaluations that were made."""
    lines: list[str] = []
    measure(measured, lines.append)
    return [line.partition(':')[0] for line in lines[1:]]


def figures(measured: Measured, key: str) -> dict:
    return json.loads((measured.out / 'evaluations' / key / 'figures.json').read_text())


def test_the_clean_row_of_a_detector_is_what_test_gives(make: Make, tmp_path: Path) -> None:
    measured = make('det', 'consistency')
    tested = evaluate(measured.config, measured.checkpoint, work_dir=str(tmp_path / 'test'))
    assert run(measured)[:2] == ['clean/clean', 'consistency/plain']
    assert figures(measured, 'clean/clean')['metrics'] == json.loads(json.dumps(tested))
    kept = measured.out / 'evaluations' / 'consistency'
    assert {len(json.loads((kept / view / 'detections.json').read_text())['images']) for view in VIEWS} == {2}


def test_the_command_on_a_segmentor(make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measured = make('seg')
    tested = evaluate(measured.config, measured.checkpoint, work_dir=str(tmp_path / 'test'))
    words = [measured.config, measured.checkpoint, '--work-dir', str(tmp_path), '--quick', '--only']
    assert command.main([*words, 'calibration']) == 0
    out = capsys.readouterr().out
    assert f'mIoU: clean {tested["mIoU"]:.4g}' in out
    assert 'on the first 2 images only' in out
    found = json.loads((tmp_path / 'robustness_quick' / 'robustness.json').read_text())
    assert found['clean'] == json.loads(json.dumps(tested))
    assert found['calibration']['metrics']['pixel_ECE'] > 0
    assert (tmp_path / 'robustness_quick' / 'calibration.png').is_file()
    # All that a test leaves is there as well.
    assert (tmp_path / 'robustness_quick' / 'evaluations' / 'clean' / 'clean' / 'per_image.csv').is_file()


def test_the_command_needs_a_checkpoint(make: Make) -> None:
    with pytest.raises(InputError, match='expected WORK_DIR'):
        command.main([make('seg').config])


@pytest.fixture
def without_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Evaluations leave their file and do nothing else."""

    def run_steps(
        steps: Sequence[Step], wanted: Mapping[str, str], session: Any, measured: Measured, tell: Any
    ) -> None:
        for step in steps:
            write_json(folder_of(measured.out, step) / FIGURES, dict(fingerprint=wanted[step.key]))
            tell(step.key)

    monkeypatch.setattr('mmseq.engine.robustness.measure.run_steps', run_steps)
    monkeypatch.setattr('mmseq.engine.robustness.measure.check_datasets', lambda *_: None)


@pytest.mark.usefixtures('without_models')
def test_what_is_finished_is_not_run_again(make: Make, checkpoints: Path) -> None:
    measured = make('seg', 'calibration', 'position')
    keys = ['clean/clean', 'calibration/calibration', 'position/position']
    assert run(measured) == keys
    assert run(measured) == []
    (measured.out / 'evaluations' / 'calibration' / 'calibration' / 'figures.json').unlink()
    assert run(measured) == ['calibration/calibration']
    # Other weights, and other images, have other figures.
    changed = checkpoints / 'changed.pth'
    shutil.copy(checkpoints / 'det.pth', changed)
    assert run(replace(measured, checkpoint=str(changed))) == keys
    assert run(replace(measured, checkpoint=str(changed), asked=replace(measured.asked, images=1))) == keys


@pytest.mark.usefixtures('without_models')
def test_processes_share_the_evaluations(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = make('seg', 'calibration', 'position')
    monkeypatch.setenv('WORLD_SIZE', '2')
    monkeypatch.setenv('RANK', '1')
    lines: list[str] = []
    measure(measured, lines.append)
    # Only the first one says how many there are.
    assert lines == ['calibration/calibration']
    monkeypatch.setenv('RANK', '0')
    # Whatever the other one has done by now.
    assert run(measured) == ['clean/clean', 'position/position']


def test_where_results_go(tmp_path: Path) -> None:
    assert folder_for(str(tmp_path), None, None, False) == tmp_path / 'robustness'
    assert folder_for('configs/a.py', None, None, True) == Path('work_dirs/a/robustness_quick')
    assert folder_for(str(tmp_path), 'elsewhere', None, False) == Path('elsewhere/robustness')

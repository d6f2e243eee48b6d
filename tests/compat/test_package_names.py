"""The maintained line of OpenMMLab: its names, and, where an environment has it, the doctor and a step in both tasks.

`make onedl` installs such an environment beside this one and runs these tests with it.
"""

import importlib.metadata
import os
import pickle
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from mmseq.compat import package_names
from mmseq.datasets.shapes import generate

ROOT = Path(__file__).parents[2]
PYTHON = os.environ.get('MMSEQ_ONEDL_PYTHON')


@pytest.mark.parametrize(
    'present, expected',
    [
        (('onedl-mmengine', 'onedl-mmsegmentation'), {'mmdet': 'mmdet', 'mmseg': 'onedl-mmsegmentation'}),
        (('mmengine', 'mmsegmentation'), {'mmdet': 'mmdet', 'mmseg': 'mmsegmentation'}),
    ],
)
def test_names_are_those_of_what_is_installed(
    present: tuple[str, ...], expected: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def version(name: str) -> str:
        if name not in present:
            raise importlib.metadata.PackageNotFoundError(name)
        return '1'

    monkeypatch.setattr(importlib.metadata, 'version', version)
    module = ModuleType('mmengine.config.utils')
    module.MODULE2PACKAGE = {'mmdet': 'mmdet', 'mmseg': 'mmsegmentation'}
    package_names._correct(module)
    assert expected == module.MODULE2PACKAGE


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not PYTHON:
        pytest.skip('MMSEQ_ONEDL_PYTHON names no interpreter with the maintained line (make onedl)')
    root = tmp_path_factory.mktemp('data')
    generate(root / 'shapes', train=2, val=2, seed=0)
    return root


def run(data: Path, *arguments: str) -> str:
    """What a Python of that environment prints; it must succeed."""
    environment = {**os.environ, 'MMSEQ_DATA': str(data), 'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(ROOT)}
    done = subprocess.run([PYTHON, *arguments], cwd=data, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_doctor_passes(data: Path) -> None:
    text = run(data, '-m', 'mmseq.doctor')
    assert 'onedl-mmengine' in text
    assert text.endswith('all checks passed\n')


@pytest.mark.parametrize(
    'config, length, checkpoint',
    [
        ('upernet_seq2d_nano_shapes', 'train_cfg.max_iters=1', 'iter_1.pth'),
        ('mask_rcnn_seq2d_nano_shapes', 'train_cfg.max_epochs=1', 'epoch_1.pth'),
    ],
)
def test_demo_config_trains_a_step(data: Path, config: str, length: str, checkpoint: str) -> None:
    options = ('--cfg-options', length, 'train_cfg.val_interval=1', 'train_dataloader.batch_size=2')
    run(data, '-m', 'mmseq', 'train', f'mmseq::{config}', '--work-dir', config, *options)
    assert (data / config / checkpoint).is_file()
    assert (data / config / 'metrics.json').is_file()


class Executes:
    """What a pickle should not be able to do."""

    def __reduce__(self) -> tuple:
        return os.mkdir, ('executed',)


def test_remote_checkpoints_run_no_code(data: Path) -> None:
    (data / 'hostile.pkl').write_bytes(pickle.dumps(Executes()))
    code = (
        'import mmseq, pickle\n'
        'from mmengine.runner import checkpoint\n'
        'try:\n'
        '    checkpoint._safe_torch_load("hostile.pkl")\n'
        'except pickle.UnpicklingError:\n'
        '    print("refused")\n'
    )
    assert 'refused' in run(data, '-c', code)
    assert not (data / 'executed').exists()

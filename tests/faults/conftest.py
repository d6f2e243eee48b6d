"""Shared by the tests of faults: what they train on."""

from pathlib import Path

import pytest

from mmseq.datasets.shapes import generate


@pytest.fixture(scope='session')
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the embedded data set, eight images to train on."""
    root = tmp_path_factory.mktemp('data')
    generate(root / 'shapes', train=8, val=4, seed=0)
    return root


@pytest.fixture(autouse=True)
def _data(shapes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('MMSEQ_DATA', str(shapes))

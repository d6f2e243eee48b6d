"""Shared by the tests of faults: where runs come from and what they train on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mmseq.datasets.shapes import generate
from tests.faults.nursery import Nursery


@pytest.fixture(scope='session')
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the embedded data set, eight images to train on."""
    root = tmp_path_factory.mktemp('data')
    generate(root / 'shapes', train=8, val=4, seed=0)
    return root


@pytest.fixture(scope='session')
def nursery(shapes: Path) -> Iterator[Nursery]:
    """Starts trainings without the seconds that the imports take each time."""
    nursery = Nursery(MMSEQ_DATA=str(shapes))
    yield nursery
    nursery.close()

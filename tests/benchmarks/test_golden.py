"""Losses stay: ten iterations of every case are trained here, `make golden` trains fifty; a kept checkpoint goes on."""

import json
from pathlib import Path

import pytest

from benchmarks.golden import (
    CASES,
    GOLDEN,
    ITERATIONS,
    SHARED,
    SHORT,
    SHORT_GOLDEN,
    TASKS,
    differences,
    level,
    resumed,
    short,
    task_of,
)

CHECKPOINTS = sorted((GOLDEN.parent / 'golden_checkpoints').iterdir())


def test_all_cases_are_kept() -> None:
    for path, length in ((GOLDEN, ITERATIONS), (SHORT_GOLDEN, SHORT)):
        kept = json.loads(path.read_text())
        assert set(kept) == set(CASES)
        assert {len(losses) for levels in kept.values() for losses in levels.values()} == {length}


@pytest.mark.parametrize('path, run', [(GOLDEN, 'losses'), (SHORT_GOLDEN, 'short')])
@pytest.mark.parametrize('case', CASES)
def test_levels_agree_as_far_as_is_promised(case: str, path: Path, run: str) -> None:
    kept = json.loads(path.read_text())[case]
    assert len(kept) > 2
    for name, losses in kept.items():
        others = {other: values for other, values in kept.items() if other != name}
        assert differences(losses, others, name, SHARED[run][task_of(case)]) is None


@pytest.mark.parametrize('case', CASES)
def test_ten_iterations(case: str) -> None:
    kept = json.loads(SHORT_GOLDEN.read_text())[case]
    assert differences(short(case), kept, level(), SHARED['short'][task_of(case)]) is None


@pytest.mark.parametrize('kept', CHECKPOINTS, ids=lambda path: path.name)
def test_a_kept_checkpoint_goes_on_with_the_same_losses(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Puts back what the training sets.
    monkeypatch.setenv('MMSEQ_DATA', '')
    (checkpoint,) = kept.glob('*.pth')
    assert checkpoint.stat().st_size <= 2**20
    losses = json.loads((kept / 'losses.json').read_text())
    assert differences(resumed(checkpoint, tmp_path), losses, level(), ITERATIONS) is None


def test_a_difference_is_named() -> None:
    kept = {'here': [1.0, 1.0, 2.0], 'there': [1.00001, 1.00001, 9.0]}
    assert differences([1.0, 1.0, 2.0], kept, 'here', 2) is None
    assert differences([1.0, 1.0, 2.000001], kept, 'here', 2) == 'iteration 3: loss 2.000001, kept is 2.0 (here)'
    assert differences([1.0, 1.0], kept, 'here', 2) == '2 losses, kept are 3 (here)'
    # on another level only the first ones, and not to the last bit
    assert differences([1.00005, 1.00005, 7.0], kept, 'elsewhere', 2) is None
    assert differences([1.0, 1.001], kept, 'elsewhere', 2) == 'iteration 2: loss 1.001, kept is 1.0 (here)'


def test_every_case_has_a_task() -> None:
    assert {task_of(case) for case in CASES} == set(TASKS) == set(SHARED['losses'])

"""Every case has its losses, and a difference is named; `make golden` trains."""

import json

from benchmarks.golden import CASES, GOLDEN, ITERATIONS, SHARED, differences


def test_all_cases_are_kept() -> None:
    kept = json.loads(GOLDEN.read_text())
    assert set(kept) == set(CASES)
    assert {len(losses) for levels in kept.values() for losses in levels.values()} == {ITERATIONS}


def test_a_difference_is_named() -> None:
    kept = {'here': [1.0] * SHARED + [2.0], 'there': [1.00001] * SHARED + [9.0]}
    assert differences([1.0] * SHARED + [2.0], kept, 'here') is None
    assert differences([1.0] * SHARED + [2.000001], kept, 'here') == (
        f'iteration {SHARED + 1}: loss 2.000001, kept is 2.0 (here)'
    )
    # on another level only the first ones, and not to the last bit
    assert differences([1.00005] * SHARED + [7.0], kept, 'elsewhere') is None
    assert differences([1.0, 1.001], kept, 'elsewhere') == 'iteration 2: loss 1.001, kept is 1.0 (here)'

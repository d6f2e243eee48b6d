"""The run on a bare GPU machine: its parts, its limits and its decision, without a GPU."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.gpu_once.__main__ import PLAN
from benchmarks.gpu_once.parts import PARTS, Place, decision

ROOT = Path(__file__).parents[3]


def test_every_part_has_a_limit_and_all_of_them_fit_into_nine_minutes():
    assert {name for row in PLAN for name in row} == {part.__name__ for part in PARTS}
    assert sum(max(row.values()) for row in PLAN) <= 540


def write(out, right=True, gain=2.0, miou=(0.65, 0.654)):
    rows = [
        dict(training=training, microseconds_per_step=dict(native=gain if training else 0.1, triton=1.0))
        for training in (True, False)
    ]
    found = dict(
        proof=dict(passed=dict(bilstm2d=right)),
        layers=dict(rows=rows),
        demo=dict(miou=dict(zip(['native', 'triton'], miou))),
    )
    for name, content in found.items():
        (out / f'{name}.json').write_text(json.dumps(content))


@pytest.mark.parametrize(
    'found, default',
    [
        ({}, 'triton'),
        (dict(right=False), 'native'),
        (dict(gain=1.2), 'native'),
        (dict(miou=(0.65, 0.62)), 'native'),
        (dict(miou=(0.55, 0.552)), 'native'),
        (dict(miou=(0.65,)), 'native'),
    ],
)
def test_a_kernel_becomes_the_default_if_it_is_right_and_faster_and_trains_as_well(found, default, tmp_path):
    write(tmp_path, **found)
    assert decision(Place(tmp_path, dry=False))['default'] == default


def test_results_that_are_absent_decide_nothing(tmp_path):
    assert decision(Place(tmp_path, dry=False))['default'] == 'native'


def test_a_part_that_fails_costs_the_others_nothing(tmp_path):
    """A file in the place of a part's folder; the table has both, and the status says so."""
    (tmp_path / 'training').write_text('in the way')
    command = [sys.executable, '-m', 'benchmarks.gpu_once', '--dry', '--out', str(tmp_path)]
    done = subprocess.run([*command, '--only', 'training', 'decision'], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    summary = json.loads((tmp_path / 'summary.json').read_text())
    assert summary['training']['state'] == 'failed with 1'
    assert summary['decision']['state'] == 'ok'
    assert 'decision   native' in done.stdout

"""Every family in both tasks on a device that is not the CPU, within a recorded budget of launches and waits.

The artificial device refuses what a GPU would refuse. `budget.json` has what the iteration after the first checkpoint
took when it was recorded; `MMSEQ_RECORD=1 pytest tests/device` records anew.
"""

import json
import os
from pathlib import Path

import pytest

from mmseq.datasets.shapes import generate
from tests.nursery import Nursery

BUDGET = Path(__file__).parent / 'budget.json'
FAMILIES = ('seq2d', 'shiftvit', 'vil', 'vsequencer')
HEADS = ('upernet', 'mask_rcnn')
NAMES = [f'{head}_{family}_nano_shapes' for head in HEADS for family in FAMILIES]
# Of launches and waits beyond the budget: what boxes are found, and versions of torch.
SLACK = 1.1
# The iteration that is counted: neither the first, which makes things once, nor one that saves.
COUNTED = 2


@pytest.fixture(scope='module')
def runs(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of results; one process for each head, since the device has one thread."""
    folder = tmp_path_factory.mktemp('device')
    generate(folder / 'data' / 'shapes', train=4, val=2, seed=0)
    started = []
    for head in HEADS:
        configs = [f'configs/{name}.py' for name in NAMES if name.startswith(head)]
        options = dict(script='tests/device/runs.py', log=folder / f'{head}.log', MMSEQ_DATA=folder / 'data')
        started.append((head, nursery.start(folder, *configs, **options)))
    for head, pid in started:
        assert nursery.wait(pid, 1800) == 0, (folder / f'{head}.log').read_text()[-3000:]
    return folder


@pytest.mark.parametrize('name', NAMES)
def test_it_trains_validates_saves_and_resumes(name: str, runs: Path) -> None:
    found = json.loads((runs / f'{name}.json').read_text())
    assert found['whole']['device'] == 'artificial:0'
    losses, rest = ([row['loss'] for row in found[part]['iterations']] for part in ('whole', 'rest'))
    assert len(losses) == (3 if name.startswith('upernet') else 4)
    # A resume goes on with the very numbers.
    assert rest == losses[2:]
    assert (runs / name / 'metrics.json').exists()
    # LSTMs ran in bfloat16 under autocast and in float32 in the validation; others raise.
    assert set(found['lstms']) == ({'torch.bfloat16', 'torch.float32'} if 'seq' in name else set())


@pytest.mark.parametrize('name', NAMES)
def test_launches_and_waits_stay_within_the_budget(name: str, runs: Path) -> None:
    row = json.loads((runs / f'{name}.json').read_text())['whole']['iterations'][COUNTED]
    ours = {site: number for site, number in row['sites'].items() if site.startswith('mmseq/')}
    budget = json.loads(BUDGET.read_text()) if BUDGET.exists() else {}
    if os.environ.get('MMSEQ_RECORD'):
        budget[name] = {key: row[key] for key in ('launches', 'syncs')}
        BUDGET.write_text(json.dumps(budget, indent=2) + '\n')
    # The one question whether numbers are finite.
    assert sum(ours.values()) <= 1, ours
    for key, number in budget[name].items():
        assert row[key] <= SLACK * number, (key, row[key], row['sites'])


def test_mixed_devices_are_refused(nursery: Nursery, tmp_path: Path) -> None:
    """The control: a map of weights that is left on the CPU, as it would be with a constant's device forgotten."""
    log = tmp_path / 'log'
    assert nursery.wait(nursery.start(script='tests/device/mixed.py', log=log)) == 0, log.read_text()[-2000:]
    assert log.read_text().splitlines()[-2:] == ['here: artificial', 'refused: aten.bmm.default']


def test_windows_are_stitched_without_waiting(nursery: Nursery, tmp_path: Path) -> None:
    log = tmp_path / 'log'
    assert nursery.wait(nursery.start(script='tests/device/stitching.py', log=log)) == 0, log.read_text()[-2000:]
    found = json.loads(log.read_text().splitlines()[-1])
    assert found['equal']
    assert found['syncs'] == 0
    # Six windows, each settled in one piece.
    assert found['launches'] <= 450

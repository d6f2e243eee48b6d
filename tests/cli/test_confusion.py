"""tools/confusion.py from the command line."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmseq.cli.confusion import main
from mmseq.errors import InputError
from mmseq.evaluation.per_class import confusion_table
from mmseq.files import write_csv


@pytest.fixture
def work_dir(tmp_path: Path) -> Path:
    counts = np.diag([100] * 40)
    counts[3, 5], counts[7, 20] = 50, 300
    table = confusion_table(tuple(f'class {i}' for i in range(40)), counts)
    write_csv(tmp_path / 'run' / 'confusion_matrix.csv', table.columns, table.rows)
    return tmp_path / 'run'


def test_a_work_dir(work_dir: Path, capsys: pytest.CaptureFixture) -> None:
    assert main([str(work_dir), '--top', '10']) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ['class', '7', 'as', 'class', '20', '75.0%', '300']
    assert lines[2:] == [str(work_dir / name) for name in ('confusion.png', 'confused_pairs.csv', 'confusion.json')]
    found = json.loads((work_dir / 'confusion.json').read_text())
    assert found['counted'] == 'pixels'
    assert [pair['truth'] for pair in found['pairs']] == ['class 7', 'class 3']
    with (work_dir / 'confused_pairs.csv').open(newline='') as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == dict(truth='class 7', prediction='class 20', share='0.75', count='300', truth_count='400')
    ten = Image.open(work_dir / 'confusion.png').size
    main([str(work_dir), '--top', '40', '--pairs', '0'])
    assert Image.open(work_dir / 'confusion.png').size[1] > ten[1]


def test_another_folder_and_another_order(work_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / 'out'
    assert main([str(work_dir / 'confusion_matrix.csv'), '--out', str(out), '--by', 'count', '--pairs', '1']) == 0
    assert sorted(path.name for path in out.iterdir()) == ['confused_pairs.csv', 'confusion.json', 'confusion.png']
    assert sum(' as ' in line for line in capsys.readouterr().out.splitlines()) == 1


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['{}'], 'evaluations write it'),
        (['{}/none.csv'], 'none.csv: no such file$'),
        (['{}', '--top', '1'], '--top 1'),
        (['{}', '--pairs', '-1'], '--pairs -1'),
    ],
)
def test_what_there_is_not(arguments: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        main([argument.format(tmp_path) for argument in arguments])

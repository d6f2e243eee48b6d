"""The command import-data: from labels to a card, a sheet and the next command."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from mmseq.cli.import_data import build_parser, main
from mmseq.datasets.own.card import read_card
from mmseq.datasets.own.recognise import FORMATS
from mmseq.errors import InputError
from tests.datasets.own import exports


def test_a_folder_becomes_a_card_and_a_sheet(tmp_path: Path, monkeypatch, capsys) -> None:
    exports.coco(tmp_path / 'photos', exports.made(tmp_path / 'truth'))
    monkeypatch.chdir(tmp_path)
    assert main(['photos', '--out', 'data/mine', '--name', 'yard']) == 0
    shown = capsys.readouterr().out
    assert re.match(r'recognised: COCO json, 2 files: ', shown)
    assert shown.endswith(
        'written: data/mine/card.yaml\nlook at: data/mine/sheet.png\nnext: mmseq train --data data/mine/card.yaml\n'
    )
    assert read_card('data/mine/card.yaml').name == 'yard'
    with Image.open('data/mine/sheet.png') as sheet:
        assert sheet.width > 1000
    # The sheet counts as part of the import.
    assert main(['photos', '--out', 'data/mine', '--overwrite', '--task', 'semantic', '--val', '0.5']) == 0


def test_bad_input_is_one_line_and_status_2(tmp_path: Path) -> None:
    (tmp_path / 'empty').mkdir()
    command = [sys.executable, '-m', 'mmseq', 'import-data', str(tmp_path / 'empty'), '--out', str(tmp_path / 'out')]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 2
    assert done.stdout == ''
    assert done.stderr == f'error: {tmp_path / "empty"}: the folder is empty; give one with images and labels\n'
    assert not (tmp_path / 'out').exists()


def test_val_and_val_from_exclude_each_other() -> None:
    with pytest.raises(SystemExit):
        build_parser().parse_args(['a', '--out', 'b', '--val', '0.1', '--val-from', 'c'])


def test_every_format_can_be_chosen() -> None:
    action = next(action for action in build_parser()._actions if action.dest == 'format')
    assert list(action.choices) == [one.key for one in FORMATS]


def test_a_share_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='val 0.0'):
        main([str(tmp_path), '--out', str(tmp_path / 'out'), '--val', '0'])

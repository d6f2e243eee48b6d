"""The three tools for weights, as a user runs them."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mmseq.backbones import Sequencer2D, ShiftViT
from mmseq.checkpoints import load_backbone
from mmseq.cli import average, convert, publish

TOOLS = Path(__file__).parents[2] / 'tools'


def saved(model, path):
    torch.save(model.state_dict(), path)
    return str(path)


def test_convert_publish_average(tmp_path, capsys):
    a, b = saved(ShiftViT('nano'), tmp_path / 'a.pth'), saved(ShiftViT('nano'), tmp_path / 'b.pth')
    assert convert.main([a, str(tmp_path / 'theirs.pth'), '--to', 'authors', '--arch', 'nano', '--verify']) == 0
    assert 'verified   round trip: 45/45 tensors come back bit for bit' in capsys.readouterr().out
    assert set(torch.load(tmp_path / 'theirs.pth')) == {'model', 'meta'}
    assert average.main([a, b, '--out', str(tmp_path / 'soup.safetensors')]) == 0
    assert 'mean of 2, 51 tensors' in capsys.readouterr().out
    assert publish.main([str(tmp_path / 'soup.safetensors'), str(tmp_path / 'soup')]) == 0
    (path,) = tmp_path.glob('soup-*.safetensors')
    model = ShiftViT('nano')
    load_backbone(model, path)
    expected = (torch.load(a)['stem.proj.weight'].double() + torch.load(b)['stem.proj.weight'].double()) / 2
    assert torch.equal(model.stem.proj.weight, expected.float())


def test_bad_input_is_one_line_and_status_2(tmp_path):
    (tmp_path / 'a.pth').write_text('no weights')
    command = [sys.executable, TOOLS / 'convert_checkpoint.py', tmp_path / 'a.pth', tmp_path / 'b.pth']
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith('error: ')
    assert done.stderr.count('\n') == 1
    assert not (tmp_path / 'b.pth').exists()


@pytest.mark.parametrize('value', ['0', '-1', 'x'])
def test_sizes_are_whole_numbers(value, capsys):
    with pytest.raises(SystemExit):
        convert.main(['a.pth', 'b.pth', '--patch-size', value])
    assert 'expected a whole number above 0' in capsys.readouterr().err


def test_patch_size_of_the_tool_is_that_of_the_model(tmp_path):
    rgb = saved(Sequencer2D('nano'), tmp_path / 'a.pth')
    convert.main([rgb, str(tmp_path / 'b.pth'), '--arch', 'nano', '--patch-size', '8', '--in-channels', '6'])
    direct, converted = (Sequencer2D('nano', 6, patch_size=8) for _ in range(2))
    load_backbone(direct, rgb)
    assert load_backbone(converted, tmp_path / 'b.pth').adapted == {}
    assert torch.equal(direct.stem.weight, converted.stem.weight)

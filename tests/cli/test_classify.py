"""``mmseq classify``: classes of images, accuracy beside the published figure, corruption errors, and bad input."""

import csv
import json

import numpy as np
import pytest
import torch
from PIL import Image

from mmseq.classify import build_classifier, weights
from mmseq.cli import classify as cli
from mmseq.errors import InputError


@pytest.fixture(scope='module')
def file(tmp_path_factory):
    """A classifier whose answer is bright or dark, by the sign of its pooled features' first channel."""
    torch.manual_seed(0)
    model = build_classifier('shiftvit', 'nano', 2).eval()
    torch.nn.init.normal_(model.head.weight)
    path = tmp_path_factory.mktemp('weights') / 'epoch_1.pth'
    torch.save(dict(meta=dict(dataset_meta=dict(classes=('cat', 'dog'))), state_dict=model.state_dict()), path)
    return str(path)


def drawn(folder, *names):
    for seed, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (40, 48, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    return folder


@pytest.fixture
def command(tmp_path, file):
    def run(*arguments):
        folder = tmp_path / 'out'
        assert cli.main([file, *map(str, arguments), '--work-dir', str(folder), '--device', 'cpu']) == 0
        with (folder / 'classify.csv').open() as table:
            return json.loads((folder / 'classify.json').read_text()), list(csv.DictReader(table))

    return run


def test_names_of_images(command, tmp_path, capsys):
    drawn(tmp_path / 'p', 'a.png', 'b.jpg')
    result, rows = command(tmp_path / 'p', '--image-size', 32)
    assert [one['image'] for one in result['images']] == [str(tmp_path / 'p/a.png'), str(tmp_path / 'p/b.jpg')]
    assert {one['name'] for one in result['images'][0]['top']} == {'cat', 'dog'}
    assert len(rows) == 4
    assert result['family'] == 'shiftvit'
    assert len(result['sha256']) == 64
    out = capsys.readouterr().out
    assert 'a.png: ' in out
    assert 'shiftvit nano: ' in out


def test_accuracy_at_several_sizes_of_folders_and_of_a_list(command, tmp_path, capsys):
    drawn(tmp_path / 'val', 'cat/a.png', 'dog/b.png', 'dog/c.png')
    result, rows = command(tmp_path / 'val', '--image-size', 32, 48)
    assert [row['image_size'] for row in result['rows']] == [32, 48]
    assert [row['images'] for row in rows] == ['3', '3']
    assert rows[0]['crop'] == '0.875'
    assert rows[0]['published_top1'] == ''
    (tmp_path / 'list.txt').write_text('val/cat/a.png cat\nval/dog/b.png dog\nval/dog/c.png 1\n')
    again, _ = command(tmp_path / 'list.txt', '--image-size', 32, '--crop', 0.875)
    assert again['rows'][0] == result['rows'][0]
    assert 'report top-1' not in capsys.readouterr().out


def test_the_published_figure_stands_beside(tmp_path, capsys, monkeypatch):
    pytest.importorskip('timm')
    torch.manual_seed(0)
    model = build_classifier('shiftvit', 'nano', 1000)
    torch.save(model.state_dict(), tmp_path / 'shiftvit_tiny_r2.pth')
    row = weights.published_row('', 'shiftvit', 't')
    monkeypatch.setattr(weights, 'published_row', lambda *_: row)
    drawn(tmp_path / 'val', 'n01440764/a.png', 'n01443537/b.png')
    options = ('--image-size', '224', '32', '--work-dir', str(tmp_path / 'out'), '--device', 'cpu')
    cli.main([str(tmp_path / 'shiftvit_tiny_r2.pth'), str(tmp_path / 'val'), *options])
    rows = json.loads((tmp_path / 'out' / 'classify.json').read_text())['rows']
    assert [row['published_top1'] for row in rows] == [81.7, None]
    assert f'the authors of {row.name} report top-1 81.7' in capsys.readouterr().out


def test_corruptions(command, tmp_path, capsys):
    names = [f'{name}/{severity}/cat/a.png' for name in ('fog', 'snow') for severity in range(1, 6)]
    result, rows = command(drawn(tmp_path / 'c', *names, 'fog/1/dog/a.png'), '--image-size', 32)
    assert result['mce'] is None
    assert len(rows) == 10
    assert 'no mean corruption error: gaussian_noise, ' in capsys.readouterr().out


@pytest.mark.parametrize(
    'arguments,said',
    [
        (['p', '--image-size', '16'], '--image-size 16: images have 32 px and more'),
        (['p', '--crop', '1.5'], '--crop 1.5: expected more than 0'),
        (['val', 'p'], 'p: one validation set at a time'),
        (['absent'], 'absent: no such file or folder'),
        (['val', '--classes', 'absent.txt'], '--classes absent.txt: cannot be read'),
    ],
)
def test_what_is_refused(arguments, said, file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    drawn(tmp_path, 'p/a.png', 'val/cat/a.png')
    with pytest.raises(InputError, match=said):
        cli.main([file, *arguments, '--device', 'cpu'])
    with pytest.raises(InputError, match='absent.pth: no such file'):
        cli.main(['absent.pth', 'p'])

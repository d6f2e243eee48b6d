"""tools/erf.py from the command line."""

import csv
import json

import numpy as np
import pytest
import torch
from PIL import Image

from mmseq.cli.erf import build_parser, main, titled
from mmseq.errors import InputError
from mmseq.model.trained import load_trained

SEGMENTOR = 'configs/upernet_seq2d_nano_shapes.py'
DETECTOR = 'configs/mask_rcnn_shiftvit_nano_shapes.py'


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    """A segmentor whose scans along the rows say nothing any more."""
    _, model = load_trained(SEGMENTOR, None)
    with torch.no_grad():
        for name, parameter in model.backbone.named_parameters():
            if 'rnn_h' in name:
                parameter.zero_()
    path = tmp_path_factory.mktemp('trained') / 'iter_1.pth'
    torch.save(dict(state_dict=model.state_dict(), meta={}), path)
    return str(path)


def test_before_and_after(tmp_path, capsys, checkpoint):
    assert (
        main([SEGMENTOR, checkpoint, '--noise', '--num', '2', '--shape', '64', '96', '--work-dir', str(tmp_path)]) == 0
    )
    found = json.loads((tmp_path / 'erf.json').read_text())
    assert (found['count'], found['shape'], found['images']) == (2, [64, 96], 'noise')
    rows = {(row['weights'], row['level']): row for row in found['levels']}
    assert list(rows) == [(weights, level) for weights in ('before', 'after') for level in range(4)]
    for (_, level), row in rows.items():
        assert row['stride'] == (4, 8, 16, 32)[level]
        assert 0 < row['pixels_50'] < row['pixels_90'] < 64 * 96
        assert row['of_image_90'] == row['pixels_90'] / (64 * 96)
        assert row['side_90'] == pytest.approx(row['pixels_90'] ** 0.5)
    # Cell (2, 3) of stride 16 is the one that the pixel in the middle, (32, 48), lies in.
    assert [rows['after', 2][key] for key in ('cell_row', 'cell_column', 'pixel_row', 'pixel_column')] == [2, 3, 40, 56]
    fields = np.load(tmp_path / 'erf.npz')
    before, after = fields['before_backbone_0'], fields['after_backbone_0']
    # Without scans along rows, only the column of patches is seen.
    columns = np.flatnonzero(after.sum(0))
    assert (columns.min(), columns.max()) == (48, 51)
    assert (before.sum(0) > 0).all()
    with (tmp_path / 'erf_profiles.csv').open() as file:
        lines = [row for row in csv.DictReader(file) if (row['weights'], row['level']) == ('after', '0')]
    marginal = [float(row['marginal']) for row in lines if row['axis'] == 'row']
    assert marginal == pytest.approx((after.sum(0) / after.sum()).tolist(), abs=1e-6)
    with (tmp_path / 'erf.csv').open() as file:
        assert len(list(csv.DictReader(file))) == 8
    assert Image.open(tmp_path / 'erf.png').size[0] > 800
    out = capsys.readouterr().out
    assert '2 images of 64 x 96 px' in out
    assert out.count('backbone 3') == 2


def test_pictures_through_a_detector_with_its_neck(tmp_path, capsys):
    picture = np.random.default_rng(0).integers(0, 255, (50, 90, 3), np.uint8)
    Image.fromarray(picture).save(tmp_path / 'a.png')
    options = ['--images', str(tmp_path / 'a.png'), '--shape', '64', '64', '--neck', '--pixel', '3', '60']
    assert main([DETECTOR, *options, '--work-dir', str(tmp_path / 'out')]) == 0
    found = json.loads((tmp_path / 'out' / 'erf.json').read_text())
    assert found['weights'] == {'before': 'random'}
    places = [(row['place'], row['level'], row['stride']) for row in found['levels']]
    assert places == [*(('backbone', i, 4 * 2**i) for i in range(4)), *(('neck', i, 4 * 2**i) for i in range(5))]
    assert (found['levels'][0]['cell_row'], found['levels'][0]['cell_column']) == (0, 15)


def test_one_picture_gets_the_fields_drawn_over_it(tmp_path):
    Image.fromarray(np.full((50, 90, 3), (250, 20, 3), np.uint8)).save(tmp_path / 'a.png')
    options = ['--image', str(tmp_path / 'a.png'), '--shape', '64', '96', '--pixel', '3', '90']
    assert main([SEGMENTOR, *options, '--work-dir', str(tmp_path / 'out')]) == 0
    assert json.loads((tmp_path / 'out' / 'erf.json').read_text())['images'] == str(tmp_path / 'a.png')
    shown = np.asarray(Image.open(tmp_path / 'out' / 'erf_image.png').convert('RGB')).astype(int)
    height = len(shown)
    # The corner far from the pixel is the picture's, grey and dark.
    assert shown[height - 20, 20].max() < 60


def test_the_configs_test_data(tmp_path, monkeypatch):
    from mmseq.cli.make_shapes import main as make_shapes

    make_shapes([str(tmp_path / 'data' / 'shapes'), '--train', '2', '--val', '3'])
    monkeypatch.setenv('MMSEQ_DATA', str(tmp_path / 'data'))
    assert main([SEGMENTOR, '--shape', '64', '64', '--work-dir', str(tmp_path / 'out'), '--before', 'start']) == 0
    found = json.loads((tmp_path / 'out' / 'erf.json').read_text())
    assert (found['count'], found['images']) == (3, 'test data')


def test_weights_of_one_name_are_told_apart(checkpoint):
    args = build_parser().parse_args([SEGMENTOR, checkpoint, '--before', checkpoint])
    assert list(titled(args, dict(before=[], after=[]))) == ['before: iter_1.pth', 'after: iter_1.pth']
    args = build_parser().parse_args([SEGMENTOR, checkpoint])
    assert list(titled(args, dict(before=[], after=[]))) == ['random weights', 'iter_1.pth']


@pytest.mark.parametrize(
    'options,message',
    [
        (['--shape', '64', '16'], '--shape 64 16: backbones need at least 32 x 32 px'),
        (['--noise', '--num', '0'], '--num 0'),
        (['--noise', '--pixel', '128', '0'], '--pixel 128 0: the image has 128 x 128 px, counted from 0'),
        (['--noise', '--neck'], '--neck: the model has none'),
        (['--noise', '--before', 'nowhere.pth'], 'checkpoint nowhere.pth: no such file'),
        (
            [],
            r'no test data: .*; put the data there or set MMSEQ_DATA to its parent; or give --image, --images',
        ),
        (['--images', 'README.md'], 'README.md: cannot be read as an image'),
    ],
)
def test_bad_input_is_one_line(tmp_path, monkeypatch, options, message):
    monkeypatch.setenv('MMSEQ_DATA', str(tmp_path / 'nothing'))
    with pytest.raises(InputError, match=message):
        main([SEGMENTOR, '--work-dir', str(tmp_path), *options])

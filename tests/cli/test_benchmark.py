"""tools/benchmark.py from the command line."""

import csv
import json

import pytest
from PIL import Image

from mmseq.cli.benchmark import main
from mmseq.errors import InputError

SEGMENTOR = 'configs/upernet_seq2d_nano_shapes.py'
DETECTOR = 'configs/mask_rcnn_seq2d_nano_shapes.py'


def run(tmp_path, config, *options):
    assert main([config, '--work-dir', str(tmp_path), '--seconds', '0', '--device', 'cpu', *options]) == 0
    return json.loads((tmp_path / 'benchmark.json').read_text())


def test_every_combination_is_measured(tmp_path, capsys):
    options = ['--sizes', '64', '64x96', '--batches', '1', '2', '--dtypes', 'float32', 'bfloat16', '--no-memory']
    found = run(tmp_path, SEGMENTOR, *options)
    points = [(row['width'], row['batch'], row['dtype']) for row in found['rows']]
    assert len(points) == len(set(points)) == 8
    for row in found['rows']:
        assert row['calls'] >= 5
        assert row['first_call_s'] > 0
        assert row['latency_s']['p50'] <= row['latency_s']['p90'] <= row['latency_s']['p99']
        assert row['images_per_s'] == pytest.approx(row['batch'] / row['latency_s']['p50'])
        assert 'peak_bytes' not in row
    with (tmp_path / 'benchmark.csv').open() as file:
        assert len(list(csv.DictReader(file))) == 8
    assert Image.open(tmp_path / 'benchmark.png').size[0] > 600
    assert '64x96 px, batch 2, bfloat16' in capsys.readouterr().out


def test_bfloat16_that_is_imitated_is_measured_and_named(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr('mmseq.compat.bfloat16.bfloat16_problem', lambda device: f'this {device} has none')
    (row,) = run(tmp_path, SEGMENTOR, '--sizes', '64', '--dtypes', 'bfloat16', '--no-memory')['rows']
    assert row['dtype'] == 'bfloat16'
    assert 'bfloat16: this cpu has none; expect it to be slower than float32' in capsys.readouterr().out


def test_memory(tmp_path, capsys):
    (row,) = run(tmp_path, SEGMENTOR, '--sizes', '64')['rows']
    # The maps of a 64 x 64 image, and not the weights nor the libraries.
    assert 1e6 < row['peak_bytes'] < 2e8
    assert f'{row["peak_bytes"] / 2**20:.0f} MB' in capsys.readouterr().out


def test_a_detector_at_its_usual_size_without_memory(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv('MMSEQ_DATA', str(tmp_path / 'nothing'))
    (row,) = run(tmp_path, DETECTOR, '--no-memory')['rows']
    assert (row['height'], row['width']) == (160, 160)
    assert 'peak_bytes' not in row
    assert 'data: no test data' in capsys.readouterr().out


def test_loading_is_timed_where_there_are_data(tmp_path, capsys, monkeypatch):
    from mmseq.cli.make_shapes import main as make_shapes

    make_shapes([str(tmp_path / 'data' / 'shapes'), '--train', '2', '--val', '3'])
    monkeypatch.setenv('MMSEQ_DATA', str(tmp_path / 'data'))
    found = run(tmp_path, SEGMENTOR, '--no-memory', '--sizes', '64')
    assert found['data']['images'] == 3
    assert 'ms to read and prepare an image' in capsys.readouterr().out


@pytest.mark.parametrize('sizes', ['16', '64x', 'large', '64x64x3'])
def test_sizes_that_are_none(tmp_path, sizes):
    with pytest.raises(InputError, match='--sizes'):
        main([SEGMENTOR, '--work-dir', str(tmp_path), '--sizes', sizes])


def test_compiled(tmp_path, monkeypatch):
    """Not with inductor, which takes half a minute: that the backbone is compiled is seen with another one."""
    seen = []
    from mmseq.backbones import Sequencer2D

    monkeypatch.setattr(Sequencer2D, 'compile', lambda self, **options: seen.append(options))
    rows = run(tmp_path, SEGMENTOR, '--sizes', '64', '--compile', 'both', '--no-memory')['rows']
    assert [row['compiled'] for row in rows] == [False, True]
    assert seen == [dict(dynamic=False)]


def test_runtimes_side_by_side(tmp_path, capsys):
    pytest.importorskip('onnxruntime')
    options = ['--sizes', '64', '--no-memory', '--runtime', 'torch', 'onnxruntime', '--compile', 'no']
    rows = run(tmp_path, SEGMENTOR, *options)['rows']
    assert [row['runtime'] for row in rows] == ['torch', 'onnxruntime']
    assert all(row['calls'] >= 5 for row in rows)
    assert '64x64 px, batch 1, float32, onnxruntime: ' in capsys.readouterr().out
    with pytest.raises(InputError, match='--runtime onnxruntime: exported models are measured with --device cpu'):
        main([SEGMENTOR, '--work-dir', str(tmp_path), '--device', 'cuda', '--runtime', 'onnxruntime'])


def test_a_detector_runs_one_image_at_a_time(tmp_path):
    pytest.importorskip('onnxruntime')
    with pytest.raises(InputError, match='an exported detector takes one image at a time; give --batches 1'):
        run(tmp_path, DETECTOR, '--sizes', '64', '--batches', '2', '--runtime', 'onnxruntime')

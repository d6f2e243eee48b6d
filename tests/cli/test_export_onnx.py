"""tools/export_onnx.py from the command line, and the script of docs/export.md that runs what it writes."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmseq.cli.export_onnx import FORMATS, PARTS, main
from mmseq.errors import InputError
from mmseq.model.trained import load_trained

needs_onnx = pytest.mark.skipif(
    subprocess.run([sys.executable, '-c', 'import onnx, onnxscript, onnxruntime'], capture_output=True).returncode != 0,
    reason='exports to ONNX need mmseq[onnx]',
)
SEGMENTOR = 'configs/upernet_seq2d_nano_shapes.py'
DETECTOR = 'configs/mask_rcnn_seq2d_nano_shapes.py'


@pytest.fixture(scope='module')
def checkpoints(tmp_path_factory):
    """Of a segmentor and of a detector, with weights that nobody trained."""
    found = {}
    for config in (SEGMENTOR, DETECTOR):
        _, model = load_trained(config, None)
        path = tmp_path_factory.mktemp('trained') / 'last.pth'
        torch.save(dict(state_dict=model.state_dict(), meta={}), path)
        found[config] = str(path)
    return found


@pytest.fixture(scope='module')
def exported(tmp_path_factory, checkpoints):
    """The work dir of an exported segmentor."""
    folder = tmp_path_factory.mktemp('exported')
    arguments = [SEGMENTOR, checkpoints[SEGMENTOR], '--work-dir', str(folder), '--sizes', '64x96', '75x33']
    assert main(arguments) == 0
    return folder


@needs_onnx
def test_differences_are_written_down(exported):
    assert sorted(path.name for path in exported.iterdir()) == ['model.onnx', 'model.onnx.json']
    found = json.loads((exported / 'model.onnx.json').read_text())
    assert found['published'] is True
    assert 0 < found['difference'] <= found['tolerance'] == 1e-3
    assert found['bytes'] == (exported / 'model.onnx').stat().st_size
    assert found['contents']['operators']['LSTM'] == 10
    checks = {(check['batch'], check['height'], check['width']): check['outputs'] for check in found['checks']}
    assert list(checks) == [(1, 64, 96), (2, 75, 33)]
    assert {check['runtime'] for check in found['checks']} >= {'onnxruntime'}
    assert all(set(outputs) == {'logits', 'labels'} for outputs in checks.values())
    recorded = tuple(found['recorded_at'].values())
    assert recorded not in checks


@needs_onnx
def test_script_of_the_documentation(exported, checkpoints, tmp_path):
    """It gives a picture of any size the labels that the model gives it."""
    page = Path('docs/export.md').read_text()
    (block,) = re.findall(r'^```python\n# (label\.py\n.*?)^```$', page, re.MULTILINE | re.DOTALL)
    (tmp_path / 'label.py').write_text(f'# {block}')
    (tmp_path / 'model.onnx').write_bytes((exported / 'model.onnx').read_bytes())
    pixels = np.random.default_rng(0).integers(0, 256, (57, 101, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / 'picture.png')
    done = subprocess.run(
        [sys.executable, '-I', 'label.py', 'picture.png'], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    drawn = np.asarray(Image.open(tmp_path / 'labels.png').convert('RGB'))
    assert drawn.shape == pixels.shape
    # mmseg's own function reads pictures as BGR.
    from mmseg.apis import inference_model

    _, model = load_trained(SEGMENTOR, checkpoints[SEGMENTOR], device='cpu')
    model.cfg.test_pipeline[1] = dict(type='Resize', scale=(101, 57), keep_ratio=True)
    expected = inference_model(model, pixels[:, :, ::-1]).pred_sem_seg.data[0].numpy()
    palette = np.array(model.dataset_meta['palette'], np.uint8)
    assert (drawn == palette[expected]).all(-1).mean() > 0.999
    assert done.stdout.split() == [model.dataset_meta['classes'][n] for n in np.unique(expected)]


@needs_onnx
def test_a_file_that_answers_otherwise_is_not_written(tmp_path, checkpoints, monkeypatch, capsys):
    from mmseq.export import onnx_file

    monkeypatch.setitem(onnx_file.GATES, 'lstm', (0, 1, 2, 3))
    arguments = [SEGMENTOR, checkpoints[SEGMENTOR], '--work-dir', str(tmp_path), '--sizes', '64', '--part', 'backbone']
    assert main(arguments) == 1
    assert [path.name for path in tmp_path.iterdir()] == ['backbone.onnx.json']
    found = json.loads((tmp_path / 'backbone.onnx.json').read_text())
    assert found['published'] is False
    assert found['difference'] > 1e-3
    assert 'NOT EXPORTED' in capsys.readouterr().out


def test_detectors_up_to_their_features(tmp_path, checkpoints):
    arguments = [DETECTOR, checkpoints[DETECTOR], '--work-dir', str(tmp_path), '--sizes', '64x90']
    assert main([*arguments, '--part', 'features', '--format', 'torch_export']) == 0
    (check,) = json.loads((tmp_path / 'features.pt2.json').read_text())['checks']
    assert list(check['outputs']) == [f'level{i}' for i in range(5)]
    maps = torch.export.load(tmp_path / 'features.pt2').module()(torch.zeros(1, 3, 70, 65))
    # Padded as the detector pads, to 96 x 96.
    assert [tuple(x.shape[2:]) for x in maps] == [(24, 24), (12, 12), (6, 6), (3, 3), (2, 2)]


@pytest.mark.parametrize(
    'arguments,words',
    [
        (['--sizes', '64y64'], '--sizes 64y64: expected HxW'),
        (['--sizes', '16x64'], '16 x 64: the model is exported for 32 px'),
        (['--tolerance', '-1'], '--tolerance -1.0'),
        (['--tolerance', 'nan'], '--tolerance nan'),
    ],
)
def test_bad_input(tmp_path, checkpoints, arguments, words):
    with pytest.raises(InputError, match=words):
        main([SEGMENTOR, checkpoints[SEGMENTOR], '--work-dir', str(tmp_path), *arguments])
    assert list(tmp_path.iterdir()) == []


def test_absent_packages(tmp_path, checkpoints, monkeypatch):
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    with pytest.raises(InputError, match=re.escape("pip install 'mmseq[onnx]'")):
        main([SEGMENTOR, checkpoints[SEGMENTOR], '--work-dir', str(tmp_path)])


def test_choices_are_those_that_there_are():
    from mmseq import export

    assert (export.PARTS, tuple(export.FORMATS)) == (PARTS, FORMATS)

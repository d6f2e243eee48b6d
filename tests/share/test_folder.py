"""A model that is shared comes back as it was, and brings nothing of this machine along."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from mmseq.checkpoints.storage import load_file, save_file
from mmseq.cli.publish import main
from mmseq.config import load_config
from mmseq.datasets.shapes import generate
from mmseq.errors import InputError
from mmseq.model.trained import load_trained
from mmseq.predict.predictor import Predictor
from mmseq.share.folder import Wanted, write_model
from mmseq.share.hub import upload
from tests.fake_runs import write_run
from tests.share.hub_server import TOKEN, Hub

CONFIG = 'mmseq::upernet_seq2d_nano_shapes'


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """A work dir whose checkpoint has the weights, the config and the classes of a real model."""
    folder = tmp_path_factory.mktemp('share')
    generate(folder / 'data' / 'shapes', train=1, val=2, seed=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('MMSEQ_DATA', str(folder / 'data'))
        cfg = load_config(CONFIG, {}, str(folder / 'run'))
        torch.manual_seed(0)
        model = load_trained(CONFIG, None, device='cpu')[1]
    write_run(folder / 'run')
    meta = dict(cfg=cfg.pretty_text, iter=30, dataset_meta=dict(model.dataset_meta))
    save_file(dict(state_dict=model.state_dict(), meta=meta, optimizer={}), folder / 'run' / 'iter_30.pth')
    return folder / 'run'


@pytest.fixture(scope='module')
def shared(run, tmp_path_factory):
    target = tmp_path_factory.mktemp('shared') / 'model'
    assert main([str(run), '--to', str(target), '--licence', 'apache-2.0']) == 0
    return target


def test_what_a_folder_holds(run, shared):
    found = {path.name for path in shared.iterdir()}
    assert found == {'README.md', 'classes.txt', 'config.py', 'metrics.json', 'model.safetensors', 'prediction.png'}
    assert (shared / 'classes.txt').read_text().splitlines()[:2] == ['background', 'circle']
    assert json.loads((shared / 'metrics.json').read_text())['mIoU'] == 40
    readme = (shared / 'README.md').read_text()
    front = yaml.safe_load(readme.split('---\n')[1])
    assert (front['license'], front['library_name'], front['pipeline_tag']) == (
        'apache-2.0',
        'mmseq',
        'image-segmentation',
    )
    assert front['model-index'][0]['results'][0]['metrics'] == [dict(type='mIoU', name='mIoU', value=40.0)]
    for path in shared.glob('*.[mpjt][dyxs]*'):
        assert str(run.parent) not in path.read_text(), path


def test_the_folder_stands_for_config_and_checkpoint(run, shared):
    cfg, model = load_trained(str(shared), str(shared), device='cpu')
    expected = load_file(run / 'iter_30.pth')['state_dict']
    assert all(torch.equal(value, expected[key]) for key, value in model.state_dict().items())
    assert cfg.work_dir == 'work_dirs/model'
    assert model.dataset_meta['classes'][1] == 'circle'
    assert cfg.model.backbone.init_cfg is None


def test_a_folder_with_something_in_it_is_left_alone(run, shared, tmp_path):
    with pytest.raises(InputError, match=r'is there already; name a new folder'):
        write_model(run, shared, Wanted('x'))
    (tmp_path / 'empty').mkdir()
    remarks = write_model(run, tmp_path / 'empty', Wanted('x', pictured=False))
    assert not any('card shows' in remark for remark in remarks)
    assert 'license: unknown' in (tmp_path / 'empty' / 'README.md').read_text()
    assert not (tmp_path / 'empty' / 'prediction.png').exists()


def test_without_the_data_the_card_has_no_image(run, tmp_path):
    (run.parent / 'data').rename(run.parent / 'away')
    try:
        remarks = write_model(run, tmp_path / 'a', Wanted('x'))
    finally:
        (run.parent / 'away').rename(run.parent / 'data')
    assert any(remark.startswith('no image in the card: ') for remark in remarks)
    Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(tmp_path / 'mine.png')
    write_model(run, tmp_path / 'b', Wanted('x', image=str(tmp_path / 'mine.png')))
    assert Image.open(tmp_path / 'b' / 'prediction.png').size == (60, 40)


@pytest.mark.parametrize(
    'meta, said',
    [
        ({}, 'carries no config, which others need'),
        ({'cfg': "custom_imports = dict(imports=['own'])\nmodel = dict(type='X')\n"}, "custom_imports 'own'"),
    ],
)
def test_what_others_could_not_load_is_refused(tmp_path, meta, said):
    save_file(dict(state_dict={'w': torch.ones(1)}, meta=meta), tmp_path / 'a.pth')
    with pytest.raises(InputError, match=said):
        write_model(tmp_path / 'a.pth', tmp_path / 'out', Wanted('x'))
    assert [path.name for path in tmp_path.iterdir()] == ['a.pth']


@pytest.fixture
def hub():
    hub = Hub()
    yield hub
    hub.close()


def test_to_the_hub_and_back(run, hub, tmp_path):
    changed = dict(HF_ENDPOINT=hub.address, HF_HUB_DISABLE_XET='1', HF_TOKEN=TOKEN, HF_HOME=str(tmp_path / 'cache'))
    photos = run.parent / 'data' / 'shapes' / 'coco' / 'val2017'

    def command(*arguments):
        line = [sys.executable, '-m', 'mmseq', *arguments]
        done = subprocess.run(line, cwd=tmp_path, env=os.environ | changed, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    said = command('publish', str(run), '--to', 'hf://me/shapes', '--private')
    assert f'written    {hub.address}/me/shapes' in said
    assert TOKEN not in said
    assert set(hub.files['me/shapes']) >= {'README.md', 'config.py', 'model.safetensors', 'prediction.png'}
    assert hub.private['me/shapes']
    assert 'mmseq infer hf://me/shapes' in hub.files['me/shapes']['README.md'].decode()
    command('infer', 'hf://me/shapes', str(photos), '--out', 'out', '--device', 'cpu')
    own = Predictor(load_trained(str(run / 'iter_30.pth'), str(run / 'iter_30.pth'), device='cpu')[1])
    paths = sorted(photos.iterdir())
    for path, prediction in zip(paths, own.predict(paths), strict=True):
        assert np.array_equal(np.asarray(Image.open(tmp_path / 'out' / 'maps' / path.name)), prediction.labels)


def test_who_may_not_write_is_told_what_to_do(hub, tmp_path, monkeypatch):
    monkeypatch.setattr('huggingface_hub.constants.ENDPOINT', hub.address)
    monkeypatch.setenv('HF_TOKEN', 'hf_wrong' * 4)
    with pytest.raises(InputError, match=r'hf://me/a: .*; hf auth login, or HF_TOKEN') as caught:
        upload(tmp_path, 'me/a')
    assert 'hf_wrong' not in str(caught.value)
    hub.close()
    with pytest.raises(InputError, match='hf://me/a: .*refused'):
        upload(tmp_path, 'me/a')

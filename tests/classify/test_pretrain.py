"""A pretraining from end to end: the command, exact resumes, weights that others load, and bad input in one line."""

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from mmseq.api import create_backbone
from mmseq.checkpoints.storage import load_file, load_meta
from mmseq.classify.pretrain import pretrain
from mmseq.classify.settings import Pretraining
from mmseq.cli.pretrain import main
from mmseq.errors import InputError
from mmseq.runs.run import read_runs
from tests.classify.test_settings import asked
from tests.datasets.classes.folders import class_folders, picture

ROOT = Path(__file__).parents[2]
NUMBERS = r'top1 (\d+\.\d\d) %, top5 100\.00 %; 0\.0\d hours of training, \d+ images/s'


@pytest.fixture(autouse=True)
def no_curves(monkeypatch):
    """A picture takes longer than these trainings; those of the command are drawn."""
    monkeypatch.setattr('mmseq.pictures.curves.plot_curves', lambda folder: folder)


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return class_folders(tmp_path_factory.mktemp('pretrain') / 'data', train=16)


@pytest.fixture(scope='module')
def run(root, nursery):
    """The work dir and the output of the command."""
    folder = root.parent
    arguments = ['sequencer2d_nano', '--data', root, '--epochs', 2, '--image-size', 32, '--batch', 4, '--lr', 0.001]
    arguments += ['--work-dir', folder / 'run', '--deterministic']
    output = nursery.run(*arguments, script='tools/pretrain.py', cwd=folder, log=folder / 'log')
    return folder / 'run', output


def test_the_command_learns_and_says_what_it_did(run):
    folder, output = run
    printed = re.search(NUMBERS, output)
    assert float(printed[1]) > 50
    assert f'written: {folder}/backbone.safetensors, {folder}/classifier.safetensors' in output
    assert f'model.backbone.init_cfg.checkpoint={folder}/backbone.safetensors' in output
    counts = '48 images to train on and 12 for validation, 3 classes, 32 px'
    assert f'{counts}, packed in work_dirs/packed/data_32px' in output
    assert '2 epochs of 12 batches of 4 images in 1 process, rate 0.001' in output
    assert len(list(folder.glob('best_top1_epoch_*.pth'))) == 1
    history = [json.loads(line) for line in (folder / 'metrics_history.jsonl').read_text().splitlines()]
    assert max(line['metrics']['top1'] for line in history) == float(printed[1])


def test_weights_load_into_a_backbone_of_all_levels(run, caplog):
    file = run[0] / 'backbone.safetensors'
    backbone = create_backbone('sequencer2d_nano', weights=file)
    own, saved = backbone.state_dict(), load_file(file)
    assert all(torch.equal(own[key], tensor) for key, tensor in saved.items())
    assert {key.rpartition('.')[0] for key in own if key not in saved} == {'norms.0', 'norms.1', 'norms.2'}
    facts = load_meta(file)
    assert (facts['family'], facts['arch'], facts['classes'], facts['data']) == ('sequencer2d', 'nano', '3', 'data')


def test_the_classifier_is_the_best_one(run):
    saved = load_file(run[0] / 'classifier.safetensors')
    best = load_file(next(run[0].glob('best_top1_*.pth')))['state_dict']
    assert set(saved) == set(best)
    assert all(torch.equal(saved[key], best[key]) for key in best)


@HOOKS.register_module()
class StopAt(Hook):
    """Ends a run behind an iteration, as a kill would."""

    priority = 'LOWEST'

    def __init__(self, iteration):
        self.iteration = iteration

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter + 1 == self.iteration:
            raise KeyboardInterrupt


@dataclass
class Stopped(Pretraining):
    """A pretraining that is killed."""

    def __call__(self, cfg, options):
        super().__call__(cfg, options)
        cfg.custom_hooks.append(dict(type='StopAt', iteration=15))


def test_a_killed_run_goes_on_exactly(run, root, tmp_path, monkeypatch):
    monkeypatch.chdir(root.parent)
    options = dict(work_dir=str(tmp_path / 'run'), deterministic=True)
    same = dict(epochs=2, batch=4, rate=0.001)
    with pytest.raises(KeyboardInterrupt):
        pretrain(asked(root, Stopped, **same), **options)
    assert (tmp_path / 'run' / 'epoch_1.pth').is_file()
    pretrain(asked(root, **same), resume='auto', **options)
    whole, resumed = (load_file(folder / 'final_weights.safetensors') for folder in (run[0], tmp_path / 'run'))
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)


def test_the_config_left_behind_runs_by_itself(run, root, tmp_path, monkeypatch):
    from mmseq.engine.launch import train

    monkeypatch.chdir(root.parent)
    cfg = Config.fromfile(run[0] / 'pretrain.py')
    assert cfg.model.type == 'mmseq.ImageClassifier'
    options = {'train_cfg.max_epochs': 1}
    runner = train(str(run[0] / 'pretrain.py'), work_dir=str(tmp_path / 'again'), options=options)
    assert runner.iter == 12
    assert 'top1' in json.loads((tmp_path / 'again' / 'metrics.json').read_text())['metrics']


def test_two_processes_with_all_that_a_recipe_may_have(root, tmp_path, nursery):
    pytest.importorskip('timm')
    command = ['bash', ROOT / 'tools' / 'dist_pretrain.sh', 'shiftvit_nano', 2, '--data', root, '--epochs', 1]
    command += ['--image-size', 32, '--work-dir', tmp_path / 'run', '--amp', 'force', '--ema', '--cfg-options']
    command += ['model.data_preprocessor.mixing.mixup_alpha=0.8', 'model.data_preprocessor.erasing=0.1']
    environment = os.environ | dict(OMP_NUM_THREADS='1', PYTHONPATH=str(ROOT)) | nursery.pythons
    done = subprocess.run(list(map(str, command)), cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.search(r'1 epochs of 12 batches of 2 images in 2 processes', done.stdout)
    assert load_meta(tmp_path / 'run' / 'backbone.safetensors')['family'] == 'shiftvit'
    assert 'ema_state_dict' in load_file(tmp_path / 'run' / 'epoch_1.pth')
    # A page and a table of it, as of every run.
    (one,) = read_runs([tmp_path / 'run'])
    assert one.final == {'top1': pytest.approx(one.final['top1']), 'top5': 100.0}
    assert one.iterations == 12


def test_files_that_are_decoded_as_they_are_read(tmp_path, nursery):
    pytest.importorskip('timm')
    folder = class_folders(tmp_path / 'data')
    torn = folder / 'train' / 'c0' / 'torn.png'
    picture(0, 99).save(torn)
    torn.write_bytes(torn.read_bytes()[:200])
    arguments = ['timm://resnet10t', '--data', folder, '--epochs', 1, '--image-size', 32, '--pack', '']
    arguments += ['--work-dir', tmp_path / 'run']
    output = nursery.run(*arguments, script='tools/pretrain.py', cwd=tmp_path, log=tmp_path / 'log')
    assert re.search(NUMBERS, output)
    assert load_meta(tmp_path / 'run' / 'backbone.safetensors')['arch'] == 'resnet10t'
    assert str(torn) in (tmp_path / 'run' / 'corrupt_files_rank0.jsonl').read_text()


@pytest.mark.parametrize('name', ['seq2d_s', 'shiftvit_t', 'vil_t'])
def test_the_authors_recipes_run(name, tmp_path, monkeypatch):
    pytest.importorskip('timm')
    monkeypatch.chdir(tmp_path)
    folder = class_folders(tmp_path / 'data', train=4, val=1)
    change = asked(folder, backbone=f'mmseq::classifier_{name}_imagenet', epochs=1, batch=4)
    options = {'model.backbone.arch': 'nano'}
    assert pretrain(change, options=options, work_dir='run').scores['top5'] == 100
    cfg = Config.fromfile(f'run/classifier_{name}_imagenet.py')
    # By the root of the ratio of the images of an update.
    recipe, images = (1e-3, 1024) if name == 'shiftvit_t' else (2e-3, 2048)
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(recipe * (4 / images) ** 0.5, rel=1e-2)
    assert f"'auto_augment': '{'3a' if name == 'vil_t' else 'rand-m9-mstd0.5-inc1'}'" in str(cfg.train_dataloader)


@pytest.mark.parametrize(
    'change, message',
    [
        (['sequencer2d_nan'], 'backbone sequencer2d_nan: no such name, nor a config; nearest: sequencer2d_nano'),
        (['timm://resnet1'], 'resnet1'),
        (['mmseq::upernet_seq2d_nano_shapes'], 'is of no classifier'),
        (['sequencer2d_nano', '--data', 'nowhere'], 'data nowhere: no such folder or list; expected'),
        (['sequencer2d_nano', '--weights', 'none.pth'], 'none.pth'),
    ],
)
def test_bad_input_is_one_line(root, tmp_path, monkeypatch, change, message):
    monkeypatch.chdir(root.parent)
    arguments = ['--data', str(root), '--image-size', '32', '--work-dir', str(tmp_path / 'run'), '--epochs', '1']
    with pytest.raises(InputError, match=message) as caught:
        main([change[0], *arguments, *change[1:]])
    assert '\n' not in str(caught.value)


def test_weights_of_another_size_are_refused(run, root, tmp_path, monkeypatch):
    monkeypatch.chdir(root.parent)
    change = asked(root, backbone='sequencer2d_s', weights=str(run[0] / 'backbone.safetensors'))
    with pytest.raises(InputError, match='does not fit this sequencer2d'):
        pretrain(change, work_dir=str(tmp_path / 'run'))

"""Real runs in real processes: two of them over gloo, resume, test, pictures and predictions, in both tasks."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mmseq.datasets.shapes import generate

ROOT = Path(__file__).parents[1]
# Config, its schedule as an option, its checkpoint after the second and the fourth step, and what keeps it small.
TASKS = {
    'seg': dict(
        config='upernet_seq2d_nano_shapes',
        steps=lambda n: ['train_cfg.max_iters=4', f'train_cfg.val_interval={n}', 'default_hooks.checkpoint.interval=2'],
        stop='iter_2.pth',
        end='iter_4.pth',
        metric='mIoU',
        extra=['train_dataloader.batch_size=2', 'default_hooks.checkpoint.max_keep_ckpts=9'],
    ),
    'det': dict(
        config='mask_rcnn_seq2d_nano_shapes',
        steps=lambda n: ['train_cfg.max_epochs=2', f'train_cfg.val_interval={n}'],
        stop='epoch_1.pth',
        end='epoch_2.pth',
        metric='coco/bbox_mAP',
        extra=['train_dataloader.batch_size=2', 'default_hooks.checkpoint.max_keep_ckpts=9'],
    ),
}
# Drop path makes the model itself draw random numbers, which resume has to continue.
LIVELY = ['model.backbone.drop_path_rate=0.3', 'default_hooks.logger.interval=1']


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp('data')
    generate(root / 'shapes', train=8, val=4, seed=0)
    return root


def tool(data, *command, **environment):
    """Run a tool as a user would, on one thread per process."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        env=dict(os.environ, MMSEQ_DATA=str(data), OMP_NUM_THREADS='1', PYTHON=sys.executable, **environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout


def losses(work_dir):
    """Loss of every iteration that the newest run of a work dir logged."""
    newest = max(work_dir.glob('*/vis_data/scalars.json'))
    lines = [json.loads(line) for line in newest.read_text().splitlines()]
    return {line.get('step', line.get('iter')): line['loss'] for line in lines if 'loss' in line}


@pytest.mark.parametrize('task', TASKS)
def test_resume_gives_identical_losses(task, data, tmp_path):
    spec = TASKS[task]
    config = f'configs/{spec["config"]}.py'
    options = [*LIVELY, *spec['extra'], *spec['steps'](99)]
    train = [sys.executable, 'tools/train.py', config, '--cfg-options', *options, '--work-dir']
    tool(data, *train, tmp_path / 'whole')
    whole = losses(tmp_path / 'whole')
    # A run that was stopped after its first checkpoint has that file and nothing newer.
    (tmp_path / 'part').mkdir()
    (tmp_path / 'whole' / spec['stop']).rename(tmp_path / 'part' / spec['stop'])
    (tmp_path / 'part' / 'last_checkpoint').write_text(str(tmp_path / 'part' / spec['stop']))
    output = tool(data, *train, tmp_path / 'part', '--resume')
    assert 'tensors fit the model' in output
    rest = losses(tmp_path / 'part')
    assert rest
    assert rest == {step: loss for step, loss in whole.items() if step in rest}
    assert max(rest) == max(whole)
    last = [torch.load(tmp_path / run / spec['end'], weights_only=True)['state_dict'] for run in ('whole', 'part')]
    assert all(torch.equal(last[0][key], last[1][key]) for key in last[0])


@pytest.mark.parametrize('task', TASKS)
def test_two_processes_train_and_test(task, data, tmp_path):
    spec = TASKS[task]
    config = f'configs/{spec["config"]}.py'
    steps = spec['steps'](1 if task == 'det' else 4)
    out = tmp_path / 'out'
    output = tool(
        data,
        'bash',
        'tools/dist_train.sh',
        config,
        2,
        '--work-dir',
        out,
        '--amp',
        '--cfg-options',
        *spec['extra'],
        *steps,
    )
    assert 'GPU number: 0' in output or 'Distributed launcher: pytorch' in output
    metrics = json.loads((out / 'metrics.json').read_text())
    assert spec['metric'] in metrics['metrics']
    assert (out / 'per_class.csv').exists()
    assert (out / 'curves.png').stat().st_size > 1000
    test = ['bash', 'tools/dist_test.sh', config, out / spec['end'], 2, '--work-dir', tmp_path / 'test']
    tool(data, *test, '--out', tmp_path / 'predictions')
    tested = json.loads((tmp_path / 'test' / 'metrics.json').read_text())
    # The last validation saw the same weights and the same images.
    assert tested['metrics'][spec['metric']] == pytest.approx(metrics['metrics'][spec['metric']], abs=0.02)
    if task == 'seg':
        assert len(list((tmp_path / 'predictions').glob('*.png'))) == 4
    else:
        assert json.loads((tmp_path / 'predictions' / 'predictions.bbox.json').read_text()) is not None


@pytest.mark.parametrize('task', TASKS)
def test_tta_and_pictures(task, data, tmp_path):
    spec = TASKS[task]
    config = f'configs/{spec["config"]}.py'
    train = [sys.executable, 'tools/train.py', config, '--work-dir', tmp_path, '--cfg-options', *spec['extra']]
    tool(data, *train, *spec['steps'](99))
    test = [sys.executable, 'tools/test.py', config, tmp_path / spec['end'], '--work-dir', tmp_path / 'tta']
    output = tool(data, *test, '--tta', '--show-dir', tmp_path / 'pictures')
    assert len(list((tmp_path / 'pictures').glob('*.png'))) == 4
    metrics = json.loads((tmp_path / 'tta' / 'metrics.json').read_text())['metrics']
    assert spec['metric'] in metrics
    if task == 'det':
        assert 'mask AP is left out' in output
        assert not any('segm' in name for name in metrics)

"""Real runs in real processes: two of them over gloo, resume, test, pictures and predictions, in both tasks."""

import functools
import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from mmcv.image import imresize
from mmengine.structures import BaseDataElement
from PIL import Image
from torch.nn import functional as F

from mmseq.datasets.shapes import generate
from mmseq.model.trained import load_trained

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


@pytest.fixture(autouse=True)
def _data(data, monkeypatch):
    monkeypatch.setenv('MMSEQ_DATA', str(data))


def training(task):
    """The arguments of a short training of a task in one process, without its work dir."""
    spec = TASKS[task]
    return [f'configs/{spec["config"]}.py', '--cfg-options', *LIVELY, *spec['extra'], *spec['steps'](99), '--work-dir']


@pytest.fixture(scope='module')
def whole(data, nursery, tmp_path_factory):
    """From a task to the work dir of a short training; each is run once."""

    @functools.cache
    def trained(task):
        folder = tmp_path_factory.mktemp(task)
        nursery.train(*training(task), folder, log=folder / 'log', MMSEQ_DATA=data)
        return folder

    return trained


def script(nursery, *command):
    """Run a launch script as a user would, on one thread per process."""
    done = subprocess.run(
        ['bash', *map(str, command)],
        cwd=ROOT,
        env=os.environ | dict(OMP_NUM_THREADS='1') | nursery.pythons,
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
def test_resume_gives_identical_losses(task, whole, nursery, tmp_path):
    spec = TASKS[task]
    expected = losses(whole(task))
    # A run that was stopped after its first checkpoint has that file and nothing newer.
    part = tmp_path / 'part'
    part.mkdir()
    shutil.copy(whole(task) / spec['stop'], part)
    (part / 'last_checkpoint').write_text(str(part / spec['stop']))
    output = nursery.run(*training(task), part, '--resume', log=tmp_path / 'log')
    assert 'tensors fit the model' in output
    rest = losses(part)
    assert rest
    assert rest == {step: loss for step, loss in expected.items() if step in rest}
    assert max(rest) == max(expected)
    first, second = (torch.load(run / spec['end'], weights_only=True)['state_dict'] for run in (whole(task), part))
    torch.testing.assert_close(first, second, rtol=0, atol=0)


@pytest.mark.parametrize('task', TASKS)
def test_two_processes_train_and_test(task, nursery, tmp_path):
    spec = TASKS[task]
    config = f'configs/{spec["config"]}.py'
    out, predictions = tmp_path / 'out', tmp_path / 'predictions'
    steps = spec['steps'](1 if task == 'det' else 4)
    train = [config, '--work-dir', out, '--amp', '--cfg-options', *spec['extra'], *steps]
    test = [config, out / spec['end'], '--work-dir', tmp_path / 'test', '--out', predictions]
    if task == 'seg':
        script(nursery, 'tools/dist_train.sh', config, 2, *train[1:])
        script(nursery, 'tools/dist_test.sh', *test[:2], 2, *test[2:])
    else:
        # As those scripts do, without the seconds that the imports take.
        launcher, log = ['--launcher', 'pytorch'], tmp_path / 'log'
        nursery.run(*train, *launcher, processes=2, log=log)
        low = ['--cfg-options', 'model.test_cfg.rcnn.score_thr=0.0']
        nursery.run(*test, *launcher, *low, script='tools/test.py', processes=2, log=log)
    log = max(out.glob('*/*.log')).read_text()
    assert 'GPU number: 0' in log or 'Distributed launcher: pytorch' in log
    metrics = json.loads((out / 'metrics.json').read_text())
    assert spec['metric'] in metrics['metrics']
    assert (out / 'per_class.csv').exists()
    assert (out / 'curves.png').stat().st_size > 1000
    tested = json.loads((tmp_path / 'test' / 'metrics.json').read_text())
    # The last validation saw the same weights and the same images.
    assert tested['metrics'][spec['metric']] == pytest.approx(metrics['metrics'][spec['metric']], abs=0.02)
    if task == 'seg':
        assert len(list(predictions.glob('*.png'))) == 4
    else:
        found = json.loads((predictions / 'predictions.bbox.json').read_text())
        assert len({box['image_id'] for box in found}) == 4


def evaluate_with_tta(task, work_dir, nursery, tmp_path):
    """The output, and the metrics; pictures and predictions are in folders of these names."""
    spec = TASKS[task]
    command = [f'configs/{spec["config"]}.py', work_dir / spec['end'], '--work-dir', tmp_path / 'tta', '--tta']
    command += ['--show-dir', tmp_path / 'pictures', '--out', tmp_path / 'predictions']
    # In a batch, smaller pictures are padded, and the context that a pixel sees is another one.
    command += ['--cfg-options', 'test_dataloader.batch_size=1']
    output = nursery.run(*command, script='tools/test.py', log=tmp_path / 'log')
    assert len(list((tmp_path / 'pictures').glob('*.png'))) == 4
    metrics = json.loads((tmp_path / 'tta' / 'metrics.json').read_text())['metrics']
    assert spec['metric'] in metrics
    return output, metrics


def scores(model, pixels, size):
    """What a segmentor gives each class at each pixel of a picture, seen at a size, as large as the picture."""
    height, width = pixels.shape[:2]
    image = torch.from_numpy(imresize(pixels, size[::-1])).permute(2, 0, 1)
    sample = BaseDataElement(metainfo=dict(ori_shape=(height, width), img_shape=size))
    inputs = model.data_preprocessor(dict(inputs=[image], data_samples=[sample]), False)['inputs']
    logits = model.encode_decode(inputs, [dict(img_shape=inputs.shape[2:])])[..., : size[0], : size[1]]
    return F.interpolate(logits, (height, width), mode='bilinear')[0].softmax(0)


@torch.no_grad()
def test_a_segmentor_averages_over_scales_and_flips(whole, data, nursery, tmp_path):
    evaluate_with_tta('seg', whole('seg'), nursery, tmp_path)
    config = f'configs/{TASKS["seg"]["config"]}.py'
    _, model = load_trained(config, str(whole('seg') / TASKS['seg']['end']), device='cpu')
    differ = 0
    for path in sorted((data / 'shapes/ade/ADEChallengeData2016/images/validation').iterdir()):
        pixels = np.asarray(Image.open(path).convert('RGB'))[..., ::-1]
        mean, sizes = 0, [tuple(int(n * k / 4 + 0.5) for n in pixels.shape[:2]) for k in range(2, 8)]
        for size in sizes:
            mean = mean + scores(model, pixels, size) + scores(model, pixels[:, ::-1], size).flip(2)
        # Label maps are written as the data set has them, with 0 for what is not labelled.
        found = np.asarray(Image.open(tmp_path / 'predictions' / f'{path.stem}.png')).astype(int) - 1
        assert (found == mean.argmax(0).numpy()).mean() > 0.99
        differ += (found != scores(model, pixels, pixels.shape[:2]).argmax(0).numpy()).sum()
    # The average is not what one view gives.
    assert differ > 50


def test_a_detector_merges_boxes_and_no_masks(whole, nursery, tmp_path):
    output, metrics = evaluate_with_tta('det', whole('det'), nursery, tmp_path)
    assert 'mask AP is left out' in output
    assert not any('segm' in name for name in metrics)

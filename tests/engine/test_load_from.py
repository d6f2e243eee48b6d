"""Training that begins with a whole model of another number of classes."""

from pathlib import Path

import pytest
import torch
from mmengine.registry import MODELS, DefaultScope
from safetensors.torch import load_file

from mmseq.cli import train as train_cli
from mmseq.config import load_config
from mmseq.datasets.shapes import generate
from mmseq.engine import launch
from mmseq.errors import InputError
from mmseq.weights.publish import publish

CONFIG = str(Path(__file__).parents[2] / 'configs' / 'upernet_seq2d_nano_shapes.py')
HEADS = ['*head.conv_seg.*']


@pytest.fixture(scope='module')
def other(tmp_path_factory):
    """The published weights of a segmentor of five classes."""
    folder = tmp_path_factory.mktemp('other')
    options = {f'model.{head}.num_classes': 5 for head in ('decode_head', 'auxiliary_head')}
    cfg = load_config(CONFIG, options, str(folder))
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(cfg.model)
    torch.save({'state_dict': model.state_dict(), 'meta': {}}, folder / 'iter_9.pth')
    return publish(folder / 'iter_9.pth', folder / 'five')[0]


def train(tmp_path, checkpoint, allow_partial, monkeypatch):
    generate(tmp_path / 'shapes', train=4, val=2, seed=0)
    monkeypatch.setenv('MMSEQ_DATA', str(tmp_path))
    options = {
        'train_cfg.max_iters': 1,
        'train_dataloader.batch_size': 2,
        'optim_wrapper.optimizer.lr': 0.0,
        'model.backbone.init_cfg.type': 'Pretrained',
        'model.backbone.init_cfg.checkpoint': 'nowhere.pth',
    }
    return launch.train(
        CONFIG,
        options=options,
        work_dir=str(tmp_path / 'out'),
        load_from=str(checkpoint),
        allow_partial=allow_partial,
    )


def test_heads_start_anew_by_permission_and_all_else_is_loaded(other, tmp_path, monkeypatch):
    with pytest.raises(
        InputError, match=r'4 tensors of another shape: decode_head.conv_seg.*named with --allow-partial'
    ):
        train(tmp_path, other, (), monkeypatch)
    runner = train(tmp_path, other, HEADS, monkeypatch)
    theirs, ours = load_file(other), runner.model.state_dict()
    # Running statistics move with the one step, parameters do not at this learning rate.
    parameters = [name for name, _ in runner.model.named_parameters()]
    differing = [
        key for key in parameters if ours[key].shape != theirs[key].shape or not torch.equal(ours[key], theirs[key])
    ]
    assert sorted(differing) == sorted(
        f'{head}.conv_seg.{part}' for head in ('decode_head', 'auxiliary_head') for part in ('weight', 'bias')
    )
    # The run that was refused has left a log of its own.
    log = ''.join(path.read_text() for path in (tmp_path / 'out').rglob('*.log'))
    assert 'not loaded, as --allow-partial permits: ' in log


@pytest.mark.parametrize(
    'arguments,why',
    [
        (['--load-from', 'gone.pth'], 'checkpoint to begin with gone.pth: no such file'),
        (['--allow-partial', 'x*'], '--allow-partial is a permission for --load-from'),
        (['--resume', '--load-from', 'gone.pth'], '--load-from begins a run and --resume goes on with one'),
    ],
)
def test_options_that_do_not_go_together(arguments, why):
    with pytest.raises(InputError, match=why):
        train_cli.main([CONFIG, *arguments])

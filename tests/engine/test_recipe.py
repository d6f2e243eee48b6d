"""The knobs of fine-tuning: what they do to a config, what the log says, and what is refused."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from torch import nn

from mmseq.engine import recipe
from mmseq.engine.hooks.model_form import ChannelsLastHook, CompileHook
from mmseq.engine.hooks.recipe import group_table
from mmseq.errors import InputError
from mmseq.registry import MODELS

BACKBONES = ['Sequencer2D', 'VSequencer', 'ShiftViT', 'VisionLSTM']
SCHEDULES = Path(__file__).parents[2] / 'configs' / '_base_' / 'schedules'


def config(**changes):
    cfg = Config(
        dict(
            train_dataloader=dict(batch_size=2),
            optim_wrapper=dict(optimizer=dict(type='AdamW', lr=8e-5)),
            auto_scale_lr=dict(enable=False, base_batch_size=16),
            default_hooks=dict(checkpoint=dict(by_epoch=False, interval=4)),
        )
    )
    cfg.merge_from_dict(changes)
    return cfg


@pytest.mark.parametrize(
    'processes, changes, enable, says, rate',
    [
        (1, {}, False, 'effective batch 2 (2 images x 1 processes x 1 accumulated), recipe for 16: rate 8e-05 not '
         'scaled; --auto-scale-lr would make it 1e-05', 8e-5),
        (1, {}, True, 'recipe for 16: rate scaled from 8e-05 to 1e-05', 1e-5),
        (1, {'auto_scale_lr.enable': True}, False, 'rate scaled from 8e-05 to 1e-05', 1e-5),
        (2, {'optim_wrapper.accumulative_counts': 2}, True, 'effective batch 8 (2 images x 2 processes x 2 acc', 4e-5),
        (8, {}, True, 'recipe for 16: rate 8e-05 as it is', 8e-5),
        (1, {'auto_scale_lr': None}, False, 'does not say what batch', 8e-5),
    ],
)  # fmt: skip
def test_batch_and_rate(processes, changes, enable, says, rate):
    cfg = config(**changes)
    assert says in recipe.scale_learning_rate(cfg, 'c.py', processes, enable)
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(rate)
    # mmengine, which leaves accumulation out, must not scale again.
    assert not (cfg.auto_scale_lr or {}).get('enable')


def test_accumulation_is_named_and_checkpoints_fall_on_updates():
    assert recipe.check_accumulation(config(), 'c.py') == []
    (text,) = recipe.check_accumulation(config(**{'optim_wrapper.accumulative_counts': 2}), 'c.py')
    assert text.startswith('2 iterations make one update')
    with pytest.raises(InputError, match=r'interval=4 is no multiple of .*counts=3'):
        recipe.check_accumulation(config(**{'optim_wrapper.accumulative_counts': 3}), 'c.py')


@pytest.mark.parametrize('kind, processes, message', [('zero', 1, '--gpus N'), ('thin', 2, 'expected zero or fsdp')])
def test_shares_that_cannot_be(kind, processes, message):
    with pytest.raises(InputError, match=message):
        recipe.divide(config(), kind, processes)


class Model(nn.Module):
    def __init__(self, name, **options):
        super().__init__()
        self.backbone = MODELS.build({'type': f'mmseq.{name}', 'arch': 'nano', **options})
        self.decode_head = nn.Conv2d(4, 2, 1)


def test_table_of_groups():
    model = Model('VisionLSTM')
    cfg = Config.fromfile(SCHEDULES / 'ade20k_160k_layer_decay.py')
    lines = group_table(model, build_optim_wrapper(model, cfg.optim_wrapper).optimizer)
    # Stem, four pairs, and the output norms with the head: each with and without weight decay.
    assert len(lines) == 1 + 12
    assert lines[0].split() == ['rate', 'weight', 'decay', 'tensors', 'norms', 'parameters', 'of']
    assert lines[1].split() == ['0.0005', '0.05', '1', '0', '8', 'decode_head']
    assert lines[2].endswith('backbone (output norms), decode_head')
    assert lines[3].endswith('backbone (layer 4 of 4)')
    assert lines[3].split()[0] == f'{5e-4 * 0.65:.4g}'
    assert lines[-1].endswith('backbone (stem)')
    assert lines[-1].split()[:2] == [f'{5e-4 * 0.65**5:.4g}', '0']
    total = sum(int(line.split()[4]) for line in lines[1:])
    assert total == sum(p.numel() for p in model.parameters())


def test_table_counts_what_is_frozen():
    model = Model('ShiftViT', frozen_stages=1)
    cfg = Config.fromfile(SCHEDULES / 'ade20k_160k.py')
    lines = group_table(model, build_optim_wrapper(model, cfg.optim_wrapper).optimizer)
    assert [line.split()[0] for line in lines[1:]] == ['6e-05', '6e-05', 'frozen']
    assert lines[1].endswith('backbone, decode_head')


class Runner:
    def __init__(self, model):
        import logging

        self.model, self.logger = model, logging.getLogger('test')


@pytest.mark.parametrize('name', BACKBONES)
def test_channels_last_changes_no_result(name):
    model = Model(name).eval()
    images = torch.randn(1, 3, 64, 64)
    before = model.backbone(images)
    ChannelsLastHook().before_run(Runner(model))
    assert model.decode_head.weight.is_contiguous(memory_format=torch.channels_last)
    for a, b in zip(model.backbone(images), before):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('dynamic', [False, True])
@pytest.mark.parametrize('name', BACKBONES)
def test_backbones_are_compiled_block_by_block(name, dynamic, monkeypatch):
    model, compiled = Model(name), []
    monkeypatch.setattr(nn.Module, 'compile', lambda self, **options: compiled.append((self, options)))
    CompileHook(backend='eager', dynamic=dynamic).before_run(Runner(model))
    blocks = [block for stage in model.backbone.stages for block in stage.blocks]
    assert [block for block, _ in compiled] == blocks
    assert all(options == dict(backend='eager', mode=None, dynamic=dynamic) for _, options in compiled)


def test_other_backbones_are_compiled_whole():
    model = nn.Module()
    model.backbone = nn.Linear(2, 2)
    calls = []
    CompileHook(backend=lambda graph, _: calls.append(graph) or graph.forward).before_run(Runner(model))
    model.backbone(torch.ones(1, 2))
    assert len(calls) == 1


def test_nothing_to_compile():
    with pytest.raises(InputError, match='Linear has no backbone'):
        CompileHook().before_run(Runner(nn.Linear(1, 1)))

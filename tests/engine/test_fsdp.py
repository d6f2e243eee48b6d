"""Real runs with the knobs turned: divided among two processes, averaged, accumulated, resumed."""

import copy
import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from torch.distributed.fsdp import FSDPModule

from mmseq.checkpoints.storage import load_file
from mmseq.config import load_config
from mmseq.datasets.shapes import generate
from mmseq.engine import launch
from mmseq.engine.fsdp import FullyShardedModel
from mmseq.registry import MODELS

ROOT = Path(__file__).parents[2]
SEG = str(ROOT / 'configs' / 'upernet_seq2d_nano_shapes.py')
SMALL = {
    'train_cfg.max_iters': 4,
    'train_cfg.val_interval': 4,
    'default_hooks.checkpoint.interval': 2,
    'default_hooks.checkpoint.max_keep_ckpts': 9,
    'default_hooks.logger.interval': 1,
    'train_dataloader.batch_size': 2,
    'model.backbone.drop_path_rate': 0.3,
    'optim_wrapper.clip_grad.max_norm': 1.0,
}


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp('data')
    generate(root / 'shapes', train=8, val=2, seed=0)
    return root


def logged(work_dir, *keys):
    """What the newest run of a work dir logged of every iteration."""
    newest = max(work_dir.glob('*/vis_data/scalars.json'))
    lines = [json.loads(line) for line in newest.read_text().splitlines()]
    return {line['iter']: tuple(line[key] for key in keys) for line in lines if 'loss' in line}


def tensors(path, key='state_dict'):
    return torch.load(path, weights_only=True)[key]


def state(path):
    """The optimiser's tensors, by number and name."""
    states = tensors(path, 'optimizer')['state']
    return {(i, name): value for i, own in states.items() for name, value in own.items()}


def test_sharded_runs_equal_the_plain_one(data, nursery, tmp_path):
    """Two processes over gloo: DDP, ZeRO and FSDP from the same weights, and each resumed from its own checkpoint."""
    start = tmp_path / 'start.pth'
    from mmengine.registry import DefaultScope

    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(load_config(SEG, {}).model)
    model.init_weights()
    torch.save(dict(state_dict=model.state_dict(), meta={}), start)
    # One iteration behind the checkpoint.
    small = SMALL | {'train_cfg.max_iters': 3, 'train_cfg.val_interval': 3}
    plans = {}
    for kind in ('ddp', 'zero', 'fsdp'):
        shard = {} if kind == 'ddp' else dict(shard=kind)
        plans[kind] = dict(options=small | {'load_from': str(start)}, **shard)
        if shard:
            plans[f'{kind}_resumed'] = dict(options=small, resume=str(tmp_path / kind / 'iter_2.pth'), **shard)
    # Whole weights in a file, which all processes gather.
    plans['fsdp_resumed']['deterministic'] = True
    arguments = [SEG, tmp_path, json.dumps(plans)]
    script = 'tests/engine/sharded_runs.py'
    nursery.run(*arguments, script=script, processes=2, seconds=600, log=tmp_path / 'log', MMSEQ_DATA=data)
    plain = logged(tmp_path / 'ddp', 'loss', 'grad_norm')
    assert sorted(plain) == [1, 2, 3]
    for kind in ('zero', 'fsdp'):
        found = logged(tmp_path / kind, 'loss', 'grad_norm')
        assert [found[i][0] for i in plain] == pytest.approx([plain[i][0] for i in plain], rel=1e-4)
        # Adam turns rounding into steps where gradients are nearly zero.
        assert [found[i][1] for i in plain] == pytest.approx([plain[i][1] for i in plain], rel=3e-2)
        rest = logged(tmp_path / f'{kind}_resumed', 'loss')
        assert sorted(rest) == [3]
        assert [rest[i][0] for i in rest] == pytest.approx([found[i][0] for i in rest], rel=1e-5)
        # Checkpoints are whole and plain.
        expected, got = (tensors(tmp_path / run / 'iter_2.pth') for run in ('ddp', kind))
        assert {key: value.shape for key, value in got.items()} == {k: v.shape for k, v in expected.items()}
        ours, theirs = (state(tmp_path / run / 'iter_2.pth') for run in (kind, 'ddp'))
        assert {key: v.shape for key, v in ours.items()} == {key: v.shape for key, v in theirs.items()}
        assert (tmp_path / kind / 'metrics.json').exists()
    resumed = tmp_path / 'fsdp_resumed'
    final, last = load_file(resumed / 'final_weights.safetensors'), tensors(resumed / 'iter_3.pth')
    assert set(final) == set(last)
    assert all(torch.equal(final[key], last[key]) for key in final)


class Detector(BaseModel):
    """A backbone and a sum."""

    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone

    def forward(self, images):
        return sum(level.square().mean() for level in self.backbone(images))


@pytest.fixture
def group(tmp_path):
    """A process group of this process alone."""
    torch.distributed.init_process_group('gloo', init_method=f'file://{tmp_path}/store', rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize(
    'card,blocks',
    # Of ConvNeXt a stage is no block of timm's grouping, and downsampling layers are; of ResNet its blocks alone.
    [('swin_nano', 8), ('convnext_nano', 8), ('resnet_nano', 8), ('vit_nano', 8)],
)
def test_timms_blocks_are_gathered_one_by_one(card, blocks, group):
    pytest.importorskip('timm')
    backbone = Config.fromfile(ROOT / 'configs' / '_base_' / 'backbones' / f'{card}.py').backbone
    torch.manual_seed(0)
    plain = Detector(MODELS.build({**backbone, 'with_cp': True}))
    whole = copy.deepcopy(plain)
    sharded = FullyShardedModel(plain)
    parts = [module for module in sharded.modules() if isinstance(module, FSDPModule)]
    assert len([part for part in parts if 'Block' in type(part).__name__]) == blocks
    images = torch.randn(2, 3, 64, 96)
    for model in (whole, sharded):
        model.train()(images).backward()
    expected = {name: parameter.grad for name, parameter in whole.named_parameters()}
    for name, parameter in sharded.module.named_parameters():
        torch.testing.assert_close(parameter.grad.full_tensor(), expected[name], rtol=1e-4, atol=1e-6)


def test_average_of_weights_is_saved_evaluated_and_resumed(data, tmp_path, monkeypatch):
    monkeypatch.setenv('MMSEQ_DATA', str(data))
    momentum, options = 0.3, SMALL | {'optim_wrapper.accumulative_counts': 2}
    for name, resume in (('ema_whole', None), ('ema_rest', str(tmp_path / 'ema_whole' / 'iter_2.pth'))):
        launch.train(SEG, options=options, work_dir=str(tmp_path / name), ema=momentum, resume=resume, check_data=False)
    runs = [tmp_path / name for name in ('ema_whole', 'ema_rest')]
    whole, rest = (logged(run, 'loss') for run in runs)
    assert rest == {i: whole[i] for i in (3, 4)}
    averages, trained = ([tensors(run / 'iter_4.pth', key) for run in runs] for key in ('state_dict', 'ema_state_dict'))
    assert all(torch.equal(averages[0][key], averages[1][key]) for key in averages[0])
    # What is saved as the model is the average; two iterations make one update.
    before = tensors(runs[0] / 'iter_2.pth', 'state_dict'), tensors(runs[0] / 'iter_2.pth', 'ema_state_dict')
    key = 'decode_head.conv_seg.weight'
    third = torch.lerp(before[0][key], before[1][f'module.{key}'], momentum)
    fourth = torch.lerp(third, trained[0][f'module.{key}'], momentum)
    torch.testing.assert_close(averages[0][key], fourth)
    assert not torch.equal(fourth, trained[0][f'module.{key}'])
    # The evaluation at the end of training saw what the file holds.
    tested = launch.evaluate(SEG, str(runs[0] / 'iter_4.pth'), work_dir=str(tmp_path / 'test'))
    assert tested == pytest.approx(json.loads((runs[0] / 'metrics.json').read_text())['metrics'])

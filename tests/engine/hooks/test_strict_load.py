"""A checkpoint of another model stops the run before it is loaded; by permission, other heads start anew."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import BaseLoop
from safetensors.torch import load_file
from torch import nn

from mmseq.cli import train as train_cli
from mmseq.config import load_config
from mmseq.datasets.shapes import generate
from mmseq.engine import launch
from mmseq.engine.hooks import StrictLoadHook
from mmseq.engine.hooks.strict_load import compare_classes
from mmseq.errors import InputError
from mmseq.weights.publish import publish

CONFIG = str(Path(__file__).parents[3] / 'configs' / 'upernet_seq2d_nano_shapes.py')
HEADS = ['*head.conv_seg.*']


class Logger:
    def __init__(self):
        self.said = []

    def info(self, text, *args):
        self.said.append(text % args)


def check(model, state, *allow_partial, resume=False):
    loops = dict(_train_loop=None, _test_loop=None)
    runner = SimpleNamespace(model=model, _load_from='a.pth', _resume=resume, logger=Logger(), **loops)
    StrictLoadHook(allow_partial).after_load_checkpoint(runner, state)
    return runner.logger.said


def test_equal_models_pass_and_are_counted():
    model = nn.Linear(2, 3)
    assert check(model, {'state_dict': nn.Linear(2, 3).state_dict()}) == ['checkpoint: 2/2 tensors fit the model']
    assert check(model, {'state_dict': {f'module.{k}': v for k, v in model.state_dict().items()}})


@pytest.mark.parametrize(
    'state,message',
    [
        ({'weight': torch.zeros(3, 2)}, '1 tensors in the model only: bias'),
        ({'weight': torch.zeros(3, 2), 'bias': torch.zeros(3), 'x': torch.zeros(1)}, 'in the file only: x'),
        ({'weight': torch.zeros(4, 2), 'bias': torch.zeros(3)}, r'weight \(4, 2\) instead of \(3, 2\)'),
    ],
)
def test_anything_else_raises(state, message):
    with pytest.raises(InputError, match=f'a.pth is of another model .*{message}'):
        check(nn.Linear(2, 3), {'state_dict': state})


def test_permitted_tensors_are_left_out_and_listed():
    model = nn.ModuleDict({'body': nn.Linear(2, 3), 'head': nn.Linear(3, 4)})
    state = nn.ModuleDict({'body': nn.Linear(2, 3), 'head': nn.Linear(3, 5)}).state_dict()
    state = {f'module.{key}': value for key, value in state.items()} | {'module.head.scale': torch.ones(1)}
    with pytest.raises(InputError, match=r'2 tensors of another shape: head.weight .*named with --allow-partial'):
        check(model, {'state_dict': state})
    payload = {'state_dict': state}
    said = check(model, payload, 'head.*')
    assert said[0] == 'checkpoint: 2/4 tensors fit the model'
    assert said[1] == 'not loaded, as --allow-partial permits: head.weight, head.bias, head.scale'
    assert list(payload['state_dict']) == ['body.weight', 'body.bias']


def test_permission_covers_only_what_it_names_and_is_for_something():
    state = {'weight': torch.zeros(4, 2), 'bias': torch.zeros(4)}
    with pytest.raises(InputError, match='1 tensors of another shape: bias'):
        check(nn.Linear(2, 3), {'state_dict': dict(state)}, 'wei*')
    with pytest.raises(InputError, match=r'--allow-partial head\.\*: every tensor that matches it fits'):
        check(nn.Linear(2, 4), {'state_dict': dict(state)}, 'head.*')


def test_infinite_weights_are_refused_whatever_is_permitted():
    state = {'weight': torch.full((3, 2), float('inf')), 'bias': torch.zeros(4)}
    with pytest.raises(InputError, match='1 tensors not finite: weight'):
        check(nn.Linear(2, 3), {'state_dict': state}, '*')


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
        (['--load-from', 'gone.pth'], 'checkpoint gone.pth: no such file'),
        (['--allow-partial', 'x*'], '--allow-partial needs --load-from'),
        (['--resume', '--load-from', 'gone.pth'], '--load-from begins a run and --resume goes on with one'),
    ],
)
def test_options_that_do_not_go_together(arguments, why):
    with pytest.raises(InputError, match=why):
        train_cli.main([CONFIG, *arguments])


WEIGHT, BIAS = torch.zeros(3, 2), torch.zeros(3)


@pytest.mark.parametrize(
    'payload,message',
    [
        ({'state_dict': [WEIGHT]}, 'no state dict found'),
        ({'state_dict': None, 'meta': {}}, 'no state dict found'),
        ({'state_dict': {}}, 'no state dict found'),
        ({'state_dict': {'weight': WEIGHT, 'bias': None}}, "'bias' is no tensor"),
        ({'state_dict': {'weight': WEIGHT, 'bias': [0.0, 0.0, 0.0]}}, "'bias' is no tensor"),
        ({'state_dict': {'weight': WEIGHT, 7: BIAS}}, "'7' is no tensor"),
        ({'state_dict': {'weight': WEIGHT.to('meta'), 'bias': BIAS}}, 'no plain dense tensor'),
        ({'state_dict': {'weight': WEIGHT.to_sparse(), 'bias': BIAS}}, 'no plain dense tensor'),
        ({'state_dict': {'weight': WEIGHT, 'module.weight': WEIGHT + 1, 'bias': BIAS}}, 'holds weight twice'),
        ({'state_dict': {'weight': WEIGHT, '_orig_mod.bias': BIAS, 'bias': BIAS}}, 'holds bias twice'),
        ({'state_dict': {'weight': WEIGHT, 'bias\nx': BIAS}}, "'bias.nx' is no name"),
    ],
)
def test_malformed_payloads_are_one_line(payload, message):
    with pytest.raises(InputError, match=message) as caught:
        check(nn.Linear(2, 3), payload)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('rest', [{}, {'meta': None}, {'meta': {'epoch': 'x', 'iter': 2}}, {'meta': {'epoch': 1}}])
def test_what_has_no_state_is_not_resumed(rest):
    payload = {'state_dict': {'weight': WEIGHT, 'bias': BIAS}, 'message_hub': {}, **rest}
    assert check(nn.Linear(2, 3), dict(payload))
    with pytest.raises(InputError, match='no state of a training .*--load-from begins with its weights'):
        check(nn.Linear(2, 3), payload, resume=True)


def test_casts_are_said_and_numbers_beyond_are_refused():
    state = {key: value.double() for key, value in nn.Linear(2, 3).state_dict().items()}
    assert check(nn.Linear(2, 3), dict(state))[1] == 'checkpoint: 2 tensors cast from float64 to float32'
    state['bias'] = torch.full((3,), 1e300, dtype=torch.float64)
    with pytest.raises(InputError, match="1 tensors beyond the model's type of number: bias"):
        check(nn.Linear(2, 3), state)


@pytest.fixture(scope='module')
def evaluated(tmp_path_factory):
    """A checkpoint whose classes are those of the embedded shapes, and the data; gives an evaluation by classes."""
    folder = tmp_path_factory.mktemp('classes')
    generate(folder / 'shapes', train=2, val=2, seed=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('MMSEQ_DATA', str(folder))
        cfg = load_config(CONFIG, {})
        with DefaultScope.overwrite_default_scope('mmseg'):
            state = MODELS.build(cfg.model).state_dict()
        own = list(cfg.test_dataloader.dataset.metainfo.classes)

        def evaluate(saved, path=folder / 'weights.pth'):
            torch.save(dict(state_dict=state, meta=dict(dataset_meta=dict(classes=saved))), path)
            return launch.evaluate(CONFIG, str(path), work_dir=str(folder / 'out'))

        yield own, evaluate


def test_exchanged_classes_are_refused_in_test(evaluated):
    own, evaluate = evaluated
    assert 'mIoU' in evaluate(own)
    with pytest.raises(InputError, match=r"weights\.pth: 2 of its 9 classes .* first class 1: 'square' in the check"):
        evaluate([own[0], own[2], own[1], *own[3:]])


def test_other_names_are_a_warning(evaluated):
    own, evaluate = evaluated
    said = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('mmengine.logging.MMLogger.warning', lambda self, text, *args: said.append(text % args))
        evaluate([*own[:-1], 'tie'])
    assert any("first class 8: 'tie' in the checkpoint, 'bowtie' in the config" in text for text in said)


class Loop(BaseLoop):
    """A loop over data of two classes."""

    def __init__(self):
        dataset = SimpleNamespace(metainfo=dict(classes=['a', 'b']))
        super().__init__(None, SimpleNamespace(dataset=dataset))

    def run(self):
        """Nothing."""


@pytest.mark.parametrize('resume', [True, False])
def test_exchanged_classes_are_refused_where_a_training_goes_on(resume):
    logger, said = Logger(), []
    logger.warning = lambda text, *args: said.append(text % args)
    runner = SimpleNamespace(_train_loop=Loop(), _test_loop={}, _resume=resume, logger=logger)
    compare_classes(runner, ('a', 'b'), 'a.pth')
    assert not said
    if resume:
        with pytest.raises(InputError, match='2 of its 2 classes'):
            compare_classes(runner, ('b', 'a'), 'a.pth')
    else:
        compare_classes(runner, ('b', 'a'), 'a.pth')
        assert len(said) == 1

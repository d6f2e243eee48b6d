"""Options for single parameters: what is refused, what the log warns of, and what the table shows."""

import pytest
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from torch import nn

from mmseq.engine.hooks.recipe import group_table
from mmseq.engine.paramwise import check_paramwise, warnings
from mmseq.errors import InputError
from mmseq.options import check_option
from tests.configs.leaves import LEAVES, built, load

OURS = 'mmseq.LayerDecayOptimWrapperConstructor'


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 1), nn.LayerNorm(4))
        self.head = nn.Linear(4, 2)


def config(constructor=None, optimizer='AdamW', **options):
    wrapper = dict(type='OptimWrapper', optimizer=dict(type=optimizer, lr=1e-3, weight_decay=0.05))
    if constructor:
        wrapper['constructor'] = constructor
    return Config(dict(optim_wrapper=dict(**wrapper, paramwise_cfg=options)))


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(norm_decay_mul=0.0), "paramwise_cfg has no 'norm_decay_mul', which would do nothing; nearest: norm"),
        (dict(decay_type='layer_wise'), "has no 'decay_type'"),
        (dict(decay_rate=0.5), f"decay_rate does nothing by itself: set optim_wrapper.constructor='{OURS}'"),
        (dict(constructor=OURS, decay_rate=0.5, num_layers=12), "has no 'num_layers'"),
        (dict(custom_keys={'head': dict(lr_mul=10)}), "custom_keys.head has no 'lr_mul', .* nearest: lr_mult"),
        (dict(custom_keys={'head': 10}), 'custom_keys.head=10: expected a dict'),
        (dict(optimizer='SGD', custom_keys={'head': dict(betas=(0.9, 0.99))}), "custom_keys.head has no 'betas'"),
    ],
)  # fmt: skip
def test_options_that_nothing_reads_are_refused(options, message):
    with pytest.raises(InputError, match=rf'^config c\.py: .*{message}'):
        check_paramwise(config(**options), 'c.py')


@pytest.mark.parametrize(
    'options',
    [
        {},
        dict(norm_decay_mult=0.0, bias_lr_mult=2.0, bypass_duplicate=True),
        dict(constructor=OURS, decay_rate=0.5, flat_decay_mult=0.0),
        dict(custom_keys={'head': dict(lr_mult=10, decay_mult=1, betas=(0.9, 0.99))}),
        dict(optimizer='NoSuchOptimizer'),
        # Of another constructor nobody knows what it reads.
        dict(constructor='LearningRateDecayOptimizerConstructor', decay_rate=0.9, decay_type='layer_wise'),
    ],
)
def test_options_that_are_read(options):
    check_paramwise(config(**options), 'c.py')


@pytest.mark.parametrize('path', LEAVES, ids=lambda path: path.stem)
def test_shipped_configs_pass(path):
    check_paramwise(load(path), str(path))


@pytest.mark.parametrize(
    'name',
    ['upernet_seq2d_s_ade20k', 'upernet_vil_t_ade20k', 'mask2former_vil_t_coco', 'segformer_vil_t_ade20k']
    + ['upernet_vil_t_ade20k_authors', 'dino_vil_t_coco', 'mask_rcnn_shiftvit_t_coco'],
)
def test_shipped_configs_warn_of_nothing(name):
    path = next(path for path in LEAVES if path.stem == name)
    assert warnings(built(path), load(path).optim_wrapper.paramwise_cfg) == []


def test_keys_that_match_nothing_are_named():
    (line,) = warnings(Model(), dict(custom_keys={'hed': dict(lr_mult=10), 'backbone': dict(lr_mult=0.1)}))
    assert "1 of 2 keys are in the name of no trained parameter: 'hed'; correct them" in line


@pytest.mark.parametrize(
    'options, rule, option, count',
    [
        (dict(custom_keys={'.1.': dict(decay_mult=0), 'backbone': dict(lr_mult=0.1)}), "'.1.'", 'decay_mult=0', 2),
        (dict(custom_keys={'head': dict(lr_mult=9), 'head.bias': dict(decay_mult=0)}), "'head'", 'lr_mult=9', 1),
        (dict(norm_decay_mult=0, custom_keys={'backbone': dict(lr_mult=0.1)}), 'norm_decay_mult', 'decay_mult=0', 2),
        (dict(flat_decay_mult=0, custom_keys={'backbone': dict(lr_mult=0.1)}), 'flat_decay_mult', 'decay_mult=0', 3),
        (dict(bias_decay_mult=0, custom_keys={'head': dict(lr_mult=0.1)}), 'bias_decay_mult', 'decay_mult=0', 1),
    ],
)
def test_rules_that_a_longer_key_undoes_are_named(options, rule, option, count):
    (line,) = warnings(Model(), options)
    assert f'{count} tensors get no {option} of {rule}, since ' in line
    # And so it is: what mmengine makes of it.
    name = line.split('the first is ')[1].split(')')[0]
    model = Model()
    groups = build_optim_wrapper(model, config(**options).optim_wrapper).optimizer.param_groups
    (group,) = (group for group in groups if group['params'][0] is model.get_parameter(name))
    assert group['weight_decay' if option == 'decay_mult=0' else 'lr'] == (0.05 if option == 'decay_mult=0' else 1e-3)


def test_a_key_that_says_both_undoes_nothing():
    options = dict(norm_decay_mult=0, custom_keys={'backbone': dict(lr_mult=0.1, decay_mult=1.0)})
    assert warnings(Model(), options) == []


def test_the_table_counts_norms():
    options = dict(norm_decay_mult=0, custom_keys={'backbone.0': dict(lr_mult=0.1)})
    model = Model()
    lines = group_table(model, build_optim_wrapper(model, config(**options).optim_wrapper).optimizer)
    # Rate, weight decay, tensors, of which norms', parameters.
    assert [line.split()[:4] for line in lines[1:]] == [
        ['0.001', '0.05', '2', '0'],
        ['0.001', '0', '2', '2'],
        ['0.0001', '0.05', '2', '0'],
    ]


@pytest.mark.parametrize(
    'key',
    [
        'optim_wrapper.paramwise_cfg.norm_decay_mult',
        'optim_wrapper.paramwise_cfg.custom_keys.head.lr_mult',
        'optim_wrapper.paramwise_cfg.custom_keys.norm.lr_mult',
    ],
)
@pytest.mark.parametrize('given', [None, {}, {'custom_keys': {'norm': {'decay_mult': 0.0}}}])
def test_the_command_line_sets_all(key, given):
    cfg = config(**(given or {}))
    if given is None:
        del cfg.optim_wrapper['paramwise_cfg']
    check_option(cfg, key, 0.5, 'c.py')
    cfg.merge_from_dict({key: 0.5})
    node = cfg
    for part in key.split('.'):
        node = node[part]
    assert node == 0.5


def test_the_command_line_refuses_what_there_is_not():
    for key in ('norm_decay_mul', 'decay_rate'):
        with pytest.raises(InputError, match=f"has no '{key}'"):
            check_option(config(custom_keys={'norm': dict(decay_mult=0)}), f'optim_wrapper.paramwise_cfg.{key}', 0, 'c')

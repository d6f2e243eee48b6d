"""Nothing that is printed, logged or written holds what is secret in an address."""

import ast
import json

import pytest
import torch

from mmseq.addresses import public, public_text, public_values
from mmseq.checkpoints.fetch import web_cache
from mmseq.cli.commands import find, parser_of
from mmseq.datasets.shapes import generate
from mmseq.model.trained import load_trained

CONFIG = 'configs/upernet_seq2d_nano_shapes.py'
SECRET = "https://me:geh'eim@h:8/a/b.pth?token=geheim#geheim"
PUBLIC = 'https://h:8/a/b.pth'
ADDRESS = 'https://me:geheim@h/a.pth?token=geheim'


def test_what_is_public_in_an_address():
    assert public('https://u:p@host:8/a/b.pth?x=1#y') == 'https://host:8/a/b.pth'
    assert public('https://host?x@y') == 'https://host'
    assert public('hf://user:token@o/n/w.pth') == 'hf://o/n/w.pth'
    assert public('dir/a?b#c@d.pth') == 'dir/a?b#c@d.pth'


@pytest.mark.parametrize(
    'text, expected',
    [
        ('cannot read https://u:p@h/x?y: it is gone', 'cannot read https://h/x it is gone'),
        ("key='http://u:p@h/x?y', and 's3://b/k'", "key='http://h/x', and 's3://b/k'"),
        ('no address://', 'no address://'),
        ('a?b#c@d and mail@host', 'a?b#c@d and mail@host'),
        ('https://h/x, hf://u:t@o/n/f\nhttps://h/y?z', 'https://h/x, hf://o/n/f\nhttps://h/y'),
    ],
)
def test_addresses_within_texts(text, expected):
    assert public_text(text) == expected


@pytest.mark.parametrize('written, read', [(repr, ast.literal_eval), (json.dumps, json.loads)], ids=['python', 'json'])
@pytest.mark.parametrize(
    'secret', [SECRET, SECRET.replace("'", '"'), SECRET.replace("'", '\\'), SECRET.replace("'", ' ')]
)
def test_of_a_text_of_values_only_the_secret_goes(written, read, secret):
    values = {'a': secret, 'b': [1, secret], 'c': 'plain'}
    assert read(public_text(written(values))) == {'a': PUBLIC, 'b': [1, PUBLIC], 'c': 'plain'}


def test_values_keep_their_kinds():
    found = public_values({'a': ('https://u:p@h/x', 1), 'b': [None, {'c': 2.5}]})
    assert found == {'a': ('https://h/x', 1), 'b': [None, {'c': 2.5}]}


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    """A folder with data, a checkpoint kept of an address with secrets, and a config that names that address."""
    root = tmp_path_factory.mktemp('secrets')
    generate(root / 'data' / 'shapes', train=2, val=1, seed=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('TORCH_HOME', str(root / 'hub'))
        patch.setenv('MMSEQ_DATA', str(root / 'data'))
        kept = web_cache(ADDRESS)
        kept.parent.mkdir(parents=True)
        torch.manual_seed(0)
        torch.save(dict(state_dict=load_trained(CONFIG, None, device='cpu')[1].state_dict()), kept)
        config = root / 'own.py'
        config.write_text(
            f'_base_ = "mmseq::upernet_seq2d_nano_shapes.py"\nweights = {ADDRESS!r}\n'
            'model = dict(backbone=dict(init_cfg=dict(type="Pretrained", checkpoint=weights, _delete_=True)))\n'
        )
        yield root


STEPS = ['train_cfg.max_iters=1', 'train_cfg.val_interval=1', 'train_dataloader.batch_size=2']
SHORT = ['--cfg-options', *STEPS, *(f'{kind}_dataloader.num_workers=0' for kind in ('train', 'val', 'test'))]
OWN = f'model.backbone.init_cfg.checkpoint={ADDRESS}'
REFUSED = ('test of none', 'infer with a wrong option', 'print-config with a wrong option', 'publish more')
COMMANDS = {
    'train': ['{config}', *SHORT],
    'train from': ['mmseq::upernet_seq2d_nano_shapes', '--load-from', ADDRESS, *SHORT, OWN],
    'test': ['{config}', ADDRESS, *SHORT],
    'infer': ['{config}', ADDRESS, '{picture}', '--cfg-options', OWN],
    'flops': ['{config}', '--shape', '64', '64'],
    'print-config': ['{config}', '--out', '{out}/printed.py', '--cfg-options', OWN],
    'publish': [ADDRESS, '{out}/published'],
    'average': [ADDRESS, ADDRESS, '--out', '{out}/average.pth'],
    'convert': [ADDRESS, '{out}/converted.safetensors'],
    'test of none': ['{config}', ADDRESS.replace('a.pth', 'other.pth').replace('//', '//[')],
    'infer with a wrong option': ['{config}', ADDRESS, '{picture}', '--cfg-options', f'model.backbone={ADDRESS}'],
    'print-config with a wrong option': ['{config}', '--cfg-options', f'weights={ADDRESS}x'],
    'publish more': [ADDRESS, '{out}/published', ADDRESS],
}


@pytest.mark.parametrize('name', COMMANDS)
def test_no_command_leaves_a_secret_anywhere(place, nursery, tmp_path, name):
    command, picture = name.partition(' ')[0], next((place / 'data').rglob('val*/*.png'))
    out, log = tmp_path / 'out', tmp_path / 'log'
    arguments = [argument.format(config=place / 'own.py', out=out, picture=picture) for argument in COMMANDS[name]]
    if '--work-dir' in help_of(command):
        arguments += ['--work-dir', out]
    environment = dict(TORCH_HOME=place / 'hub', MMSEQ_DATA=place / 'data')
    pid = nursery.start(command, *arguments, log=log, script='mmseq/__main__.py', **environment)
    status, printed = nursery.wait(pid), log.read_text()
    assert status == (2 if name in REFUSED else 0), printed[-1000:]
    assert 'Traceback' not in printed
    assert out.is_dir() or name in REFUSED
    for path in (log, *out.rglob('*')):
        assert path.is_dir() or b'geheim' not in path.read_bytes(), path


def help_of(command):
    """The help of a command."""
    return parser_of(find(command)).format_help()

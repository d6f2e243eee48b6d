"""The arrows of the design: who may import whom, read from the syntax trees."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / 'mmseq'
ANYWHERE = {'errors', 'nested', 'ranks'}
# Room -> rooms that it may import from. Everything heavy and upstream is asked for in FORBIDDEN.
MAY = {
    'errors': set(),
    'nested': set(),
    'ranks': set(),
    'explain': {'compat'},
    'config': {'compat', 'explain'},
    'registry': set(),
    'compat': {'checkpoints'},
    'checkpoints': set(),
    'ops': set(),
    'layers': {'ops', 'registry'},
    'backbones': {'layers', 'ops', 'checkpoints', 'registry'},
    'necks': {'layers', 'ops', 'registry'},
    'segmentors': {'registry'},
    'datasets': {'registry'},
    'evaluation': {'registry'},
    'analysis': {
        'backbones',
        'registry',
        'ops',
        'checkpoints',
        'compat',
        'config',
        'datasets',
        'evaluation',
        'explain',
    },
    'engine': {'registry', 'datasets', 'evaluation', 'analysis', 'checkpoints', 'compat', 'config', 'explain'},
    'doctor': {'compat', 'checkpoints'},
    'cli': {
        'engine',
        'datasets',
        'evaluation',
        'analysis',
        'compat',
        'checkpoints',
        'doctor',
        'registry',
        'backbones',
        'config',
        'explain',
    },
    '__init__': {'compat'},
    '__main__': {'cli'},
}
# Top-level packages that a room's modules may not import when they are loaded.
FORBIDDEN = {
    'checkpoints': {'mmengine', 'mmcv', 'mmdet', 'mmseg', 'timm', 'torchvision'},
    'ops': {'mmengine', 'mmcv', 'mmdet', 'mmseg', 'timm', 'torchvision', 'triton'},
    'layers': {'mmengine', 'mmcv', 'mmdet', 'mmseg'},
}
NOWHERE = {'mmdet', 'mmseg', 'mmcv'}
# Imported inside the one function that needs them.
LAZY = {'huggingface_hub'}
# Subclasses of upstream's, loaded by a function when a config asks for one.
ON_DEMAND = {'segmentors/sliding.py'}


def room(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix('.py')


def imports(path, top_level):
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{path}: relative import'
            yield node.module
            if node.module == 'mmseq':
                yield from (f'mmseq.{alias.name}' for alias in node.names)


FILES = sorted(PACKAGE.rglob('*.py'))


@pytest.mark.parametrize('path', FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_arrows(path):
    here = room(path)
    for name in imports(path, top_level=False):
        parts = name.split('.')
        if (
            parts[0] == 'mmseq'
            and len(parts) > 1
            and (PACKAGE / parts[1]).exists() | (PACKAGE / f'{parts[1]}.py').exists()
        ):
            assert parts[1] in MAY[here] | {here} | ANYWHERE, f'{here} may not import {name}'
    heavy = FORBIDDEN.get(here, set()) | (set() if str(path.relative_to(PACKAGE)) in ON_DEMAND else NOWHERE)
    if here == 'ops' and path.name.startswith('triton_'):
        heavy -= {'triton'}
    for name in imports(path, top_level=not FORBIDDEN.get(here)):
        assert name.split('.')[0] not in heavy, f'{path}: imports {name}'
    for name in imports(path, top_level=True):
        assert name.split('.')[0] not in LAZY, f'{path}: imports {name} when it is loaded'


def test_every_room_is_listed():
    assert {room(path) for path in FILES} == set(MAY)


def test_import_mmseq_loads_nothing_heavy():
    heavy = {'mmdet', 'mmseg', 'mmcv', 'mmengine', 'timm', 'huggingface_hub', 'triton'}
    code = f'import sys, mmseq.ops; print(sorted({heavy} & set(sys.modules)))'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == '[]'
    assert done.stderr == ''

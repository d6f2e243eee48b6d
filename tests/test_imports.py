"""Who may import whom: the table of docs/architecture.md, compared with the syntax trees."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / 'mmseq'


def table():
    """Package -> packages that it may import, in the order of the page."""
    rows = {}
    for line in (ROOT / 'docs' / 'architecture.md').read_text().split('## Contracts')[0].splitlines():
        cells = line.split('|')
        if len(cells) == 5 and '`' in cells[1]:
            rows |= {name: set(re.findall(r'`(\w+)`', cells[3])) for name in re.findall(r'`(\w+)`', cells[1])}
    return rows


MAY = table()
ANYWHERE = {'addresses', 'files', 'errors', 'nested', 'ranks'}
# Top-level packages that a package's modules may not import when they are loaded.
FORBIDDEN = {
    'checkpoints': {'mmengine', 'mmcv', 'mmdet', 'mmseg', 'timm', 'torchvision'},
    'ops': {'mmengine', 'mmcv', 'mmdet', 'mmseg', 'timm', 'torchvision', 'triton'},
    'layers': {'mmengine', 'mmcv', 'mmdet', 'mmseg'},
}
NOWHERE = {'mmdet', 'mmseg', 'mmcv'}
# Imported inside the one function that needs them.
LAZY = {'huggingface_hub'}
# Subclasses of upstream's, loaded by a function when a config asks for one.
ON_DEMAND = {'evaluation/coco.py', 'evaluation/iou.py', 'segmentors/sliding.py', 'segmentors/tta.py'}


def package(path):
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
def test_imports_are_allowed(path):
    here = package(path)
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


def test_every_package_is_listed():
    assert {package(path) for path in FILES} == set(MAY)


OPENMMLAB = {'mmdet', 'mmseg', 'mmcv', 'mmengine'}


@pytest.mark.parametrize(
    'module, heavy',
    [
        # Less than 0.1 s, of which Python's own start is half: nothing but the standard library.
        ('mmseq', OPENMMLAB | {'torch', 'torchvision', 'numpy', 'packaging', 'importlib.metadata'}),
        ('mmseq.ops', OPENMMLAB | {'timm', 'huggingface_hub', 'triton'}),
        ('mmseq.backbones', {'mmdet', 'mmseg', 'timm'}),
    ],
)
def test_import_loads_nothing_heavy(module, heavy):
    code = f'import sys, {module}; print(sorted({heavy} & set(sys.modules)))'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == '[]'
    assert done.stderr == ''


def test_nothing_imports_upwards():
    order = list(MAY)
    for name, below in MAY.items():
        assert all(order.index(name) < order.index(other) for other in below), f'{name} stands below what it imports'


def test_every_permission_is_used():
    used = {name: set() for name in MAY}
    for path in FILES:
        names = [name.split('.') for name in imports(path, top_level=False)]
        used[package(path)] |= {parts[1] for parts in names if parts[0] == 'mmseq' and len(parts) > 1}
    for name, allowed in MAY.items():
        assert allowed <= used[name], f'{name} imports nothing of {allowed - used[name]}'

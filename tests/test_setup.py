"""What is declared is what is imported, and an installation is found wherever Python is started."""

import ast
import os
import shutil
import subprocess
import sys
import venv
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from mmseq.compat.versions import OPENMMLAB

ROOT = Path(__file__).parents[1]
# What is imported under another name than it is installed.
DISTRIBUTIONS = {
    'PIL': 'pillow',
    'cv2': 'opencv-python',
    'mmcv': 'mmcv-lite',
    'mmseg': 'mmsegmentation',
    'onnx_ir': 'onnx-ir',
    # torch brings it where there is one.
    'triton': 'torch',
    'ultrafast_pycocotools': 'ultrafast-pycocotools',
    'yaml': 'pyyaml',
}


def declared() -> dict[str, list[str]]:
    """Extra -> requirements, as setup.py has them; those that everybody gets under ''."""
    tree = ast.parse((ROOT / 'setup.py').read_text())
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    setup = next(call for call in calls if getattr(call.func, 'id', None) == 'setup')
    given = {keyword.arg: keyword.value for keyword in setup.keywords}
    return {'': ast.literal_eval(given['install_requires']), **ast.literal_eval(given['extras_require'])}


def names(*extras: str) -> set[str]:
    """The names of what these extras declare."""
    return {Requirement(one).name for extra in extras for one in declared()[extra]}


@cache
def imported() -> set[str]:
    """The distributions of all that the package's files import, at their top or in a function."""
    names = set()
    for path in (ROOT / 'mmseq').rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.split('.')[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add(node.module.split('.')[0])
    return {DISTRIBUTIONS.get(name, name) for name in names - sys.stdlib_module_names - {'mmseq'}}


def test_what_is_imported_is_declared():
    assert imported() - names(*declared()) == set()


def test_what_everybody_gets_is_imported():
    assert names('') - imported() == set()


def test_both_lines_are_declared_as_the_doctor_accepts_them():
    for requirement in OPENMMLAB:
        accepted = {name: SpecifierSet(versions) for name, versions in requirement.releases.items()}
        for extra in ('mm', 'onedl'):
            (found,) = (one for one in map(Requirement, declared()[extra]) if one.name in accepted)
            pinned = [version.version for version in found.specifier if version.operator == '==']
            assert all(accepted[found.name].contains(version) for version in pinned)
            assert pinned or found.specifier == accepted[found.name]


def test_constraints_pin_what_is_declared():
    pinned = {line.split('==')[0].lower().replace('_', '-') for line in (ROOT / 'constraints.txt').read_text().split()}
    # The maintained line has its own versions of what lies below it.
    ours = names(*(extra for extra in declared() if extra != 'onedl'))
    assert {name.replace('_', '-') for name in ours} - pinned == set()


@pytest.fixture(scope='module')
def clone(tmp_path_factory):
    """A copy of the project in a folder named like the package."""
    pytest.importorskip('pip', reason='there is no pip to install with')
    folder = tmp_path_factory.mktemp('home') / 'mmseq'
    ignored = shutil.ignore_patterns('__pycache__', '*.egg-info', 'build')
    for name in ('mmseq', 'configs'):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in ('setup.py', 'pyproject.toml', 'MANIFEST.in', 'README.md', 'LICENSE', 'model-index.yml'):
        shutil.copy(ROOT / name, folder / name)
    (folder / 'mmseq' / 'zoo' / 'made_up.safetensors').touch()
    return folder


# The checkout under test may be on the path; what pip installed has to be found without.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}


def install(clone, folder, *options):
    """An interpreter of its own into which pip has installed the clone; all else it has of this one."""
    venv.create(folder, symlinks=True)
    python = folder / 'bin' / 'python'
    shared = [path for path in sys.path if path.endswith('-packages')]
    own = subprocess.check_output([python, '-c', 'import sysconfig; print(sysconfig.get_path("purelib"))'], text=True)
    Path(own.strip(), 'shared.pth').write_text('\n'.join(shared))
    command = [python, '-m', 'pip', 'install', '--quiet', '--no-deps', '--no-build-isolation', '--no-index', *options]
    done = subprocess.run([*command, clone], env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return python


@pytest.fixture(scope='module')
def editable(clone, tmp_path_factory):
    return install(clone, tmp_path_factory.mktemp('editable'), '--editable')


@pytest.fixture(scope='module')
def from_wheel(clone, tmp_path_factory):
    python = install(clone, tmp_path_factory.mktemp('wheel'))
    # A build that stays behind would be found in the clone's folder.
    shutil.rmtree(clone / 'build', ignore_errors=True)
    return python


PROGRAM = """
import importlib.util, pathlib, mmseq
folder = pathlib.Path(mmseq.__file__).parent
assert mmseq.__version__
assert (folder / 'py.typed').is_file(), 'py.typed'
assert (folder / 'zoo' / 'made_up.safetensors').is_file(), 'zoo'
# The hooks are placed, without which mmdet finds no operators.
assert importlib.util.find_spec('panopticapi')
from mmseq.compat import shipped_configs
assert shipped_configs.locate('mmseq::upernet_seq2d_nano_shapes').is_file(), 'configs'
print(folder)
"""


@pytest.mark.parametrize('started', ['parent', 'clone', 'elsewhere'])
@pytest.mark.parametrize('kind', ['editable', 'from_wheel'])
def test_installation_is_found_from(started, kind, clone, tmp_path, request):
    python = request.getfixturevalue(kind)
    folder = {'parent': clone.parent, 'clone': clone, 'elsewhere': tmp_path}[started]
    done = subprocess.run([python, '-c', PROGRAM], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # In the clone the clone's own package comes first, as everywhere in Python.
    from_clone = kind == 'editable' or started == 'clone'
    assert Path(done.stdout.strip()).is_relative_to(clone) == from_clone

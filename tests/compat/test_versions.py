"""The table against installations that are not there."""

import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mmseq.compat import versions
from mmseq.errors import InputError

GOOD = {
    'torch': '2.6.0',
    'torchvision': '0.21.0',
    'mmengine': '0.10.7',
    'mmcv-lite': '2.1.0',
    'mmdet': '3.3.0',
    'mmsegmentation': '1.2.2',
    'setuptools': '80.9.0',
    'opencv-python': '4.10.0.84',
    'ftfy': '6.3',
    'regex': '2024.11.6',
    'pycocotools': '2.0.8',
    'safetensors': '0.4.5',
}


# The names of the maintained line.
MAINTAINED = {
    'mmengine': ('onedl-mmengine', '0.10.12'),
    'mmcv-lite': ('onedl-mmcv', '2.3.6'),
    'mmdet': ('onedl-mmdetection', '3.5.1'),
    'mmsegmentation': ('onedl-mmsegmentation', '1.4.2'),
}


@pytest.fixture
def packages(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What seems to be installed, to be changed by the test; torchvision seems to work."""
    present = dict(GOOD)

    def version(name: str) -> str:
        if name not in present:
            raise importlib.metadata.PackageNotFoundError(name)
        return present[name]

    monkeypatch.setattr(importlib.metadata, 'version', version)
    monkeypatch.setattr(versions, 'torchvision_problem', lambda: None)
    return present


def test_good_installation_passes(packages: dict[str, str]) -> None:
    versions.require()


@pytest.mark.parametrize('name', GOOD)
def test_each_absence_is_one_line_with_a_command(packages: dict[str, str], name: str) -> None:
    del packages[name]
    with pytest.raises(InputError) as raised:
        versions.require()
    assert '\n' not in str(raised.value)
    assert str(raised.value).startswith(f'{name} is not installed')
    # In quotes, since a shell takes < for a file.
    assert re.search(r': pip install "[^"]+"$', str(raised.value))


def test_several_problems_are_several_lines(packages: dict[str, str]) -> None:
    del packages['ftfy'], packages['regex']
    packages['setuptools'] = '81.0.0'
    with pytest.raises(InputError) as raised:
        versions.require()
    assert [line.split()[0] for line in str(raised.value).splitlines()] == ['setuptools', 'ftfy', 'regex']


@pytest.mark.parametrize(
    'name, version, good',
    [
        ('torch', '2.5.1', False),
        ('torch', '2.5.1+cu124', False),
        ('torch', '2.6.0+cpu', True),
        ('torch', '2.10.0', True),
        ('torch', '3.0.0.dev20260101+cu130', True),
        ('setuptools', '65.5', True),
        ('setuptools', '80.10.2', True),
        ('setuptools', '81', False),
        ('setuptools', '82.0.1', False),
        ('mmcv-lite', '2.0.0rc3', False),
        ('mmcv-lite', '2.0.0rc4', True),
        ('mmcv-lite', '2.0.0', True),
        ('mmcv-lite', '2.1.0', True),
        ('mmcv-lite', '2.2.0', False),
        ('mmcv-lite', '2.2.0rc1', False),
        ('mmcv-lite', '1.7.2', False),
        ('mmengine', '0.10.0', True),
        ('mmengine', '0.9.1', False),
        ('mmengine', '0.11.0', False),
        ('mmdet', '3.2.0', False),
        ('mmdet', '3.3.0', True),
        ('mmsegmentation', '1.1.2', False),
        ('mmsegmentation', '1.2.0', True),
        ('mmsegmentation', '1.3', False),
        ('setuptools', '82.0.0.post1', False),
    ],
)
def test_bounds(packages: dict[str, str], name: str, version: str, good: bool) -> None:
    packages[name] = version
    if good:
        versions.require()
    else:
        with pytest.raises(InputError, match=re.escape(f'{name} {version} is')):
            versions.require()


@pytest.mark.parametrize('removed, other', [('mmcv-lite', 'mmcv'), ('opencv-python', 'opencv-python-headless')])
def test_other_distributions_of_the_same_import_count(packages: dict[str, str], removed: str, other: str) -> None:
    packages[other] = packages.pop(removed)
    versions.require()


def use_maintained_line(packages: dict[str, str], *names: str) -> None:
    """Replace these of upstream's packages by those of the maintained line."""
    for name in names:
        del packages[name]
        packages.update([MAINTAINED[name]])


def test_maintained_line_is_accepted_with_any_setuptools(packages: dict[str, str]) -> None:
    use_maintained_line(packages, *MAINTAINED)
    packages['setuptools'] = '82.0.1'
    versions.require()
    del packages['setuptools']
    versions.require()


def test_a_broken_version_of_it_is_named_with_the_reason(packages: dict[str, str]) -> None:
    use_maintained_line(packages, *MAINTAINED)
    packages['onedl-mmdetection'] = '3.4.0'
    with pytest.raises(InputError, match=r'faster_coco_eval.*: pip install "onedl-mmdetection>=3.4.7,<4"$'):
        versions.require()


def test_what_it_lacks_is_advised_of_the_same_line(packages: dict[str, str]) -> None:
    use_maintained_line(packages, *MAINTAINED)
    del packages['onedl-mmcv']
    with pytest.raises(InputError, match=r'onedl-mmcv is not installed .*: pip install "onedl-mmcv>=2.3,<2.4"$'):
        versions.require()


@pytest.mark.parametrize('name', MAINTAINED)
def test_a_mixture_of_lines_is_named(packages: dict[str, str], name: str) -> None:
    use_maintained_line(packages, name)
    with pytest.raises(InputError, match=f'{MAINTAINED[name][0]} are? of two lines of OpenMMLab.*pip uninstall'):
        versions.require()


def test_one_line_over_the_other_is_named(packages: dict[str, str]) -> None:
    packages.update(MAINTAINED.values())
    with pytest.raises(InputError) as raised:
        versions.require()
    assert str(raised.value).count('pip uninstall mmengine onedl-mmengine mmcv-lite onedl-mmcv') == 1


def test_timm_is_not_asked_for(packages: dict[str, str]) -> None:
    assert 'timm' not in packages
    versions.require()


@pytest.mark.parametrize('version, good', [((3, 9), False), ((3, 10), True), ((3, 13), True), ((3, 14), False)])
def test_python(monkeypatch: pytest.MonkeyPatch, version: tuple[int, int], good: bool) -> None:
    monkeypatch.setattr(versions.sys, 'version_info', (*version, 0))
    assert (versions.python_problem() is None) == good


def test_pair_that_does_not_match(tmp_path: Path) -> None:
    """The CPU build of torch with the torchvision of the package index fails on import with just this text."""
    (tmp_path / 'torchvision').mkdir()
    stub = "raise RuntimeError('operator torchvision::nms does not exist\\nmore')\n"
    (tmp_path / 'torchvision' / '__init__.py').write_text(stub)
    code = 'from mmseq.compat import versions\nversions.require()'
    environment = {**os.environ, 'PYTHONPATH': str(tmp_path)}
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=False, env=environment)
    last = done.stderr.strip().splitlines()[-1]
    assert 'InputError: torch and torchvision do not work together' in last
    assert 'operator torchvision::nms does not exist' in last
    assert 'pip install -U torch torchvision' in last


def test_differing_builds_are_seen(packages: dict[str, str]) -> None:
    assert versions.build_tags() is None
    packages['torch'] = '2.6.0+cpu'
    assert versions.build_tags() == ('cpu', '')


def test_this_installation_passes() -> None:
    versions.require()

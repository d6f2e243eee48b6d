"""Which versions of which packages work together, in one table, and the check of it.

Cause: mmdet and mmsegmentation name neither all that they need nor what they do not work with, and pip installs
combinations that fail with messages about something else.
Could go once `pip check` finds these by itself.
"""

import importlib
import importlib.metadata
import re
import sys
from dataclasses import dataclass

from mmseq.errors import InputError, first_line

PYTHON_RANGE = ((3, 10), (3, 13))

# What a package that is there, but broken, raises on import: ill-matched libraries, removed names, and the assertions
# of mmdet and mmsegmentation over the version of mmcv.
BROKEN_IMPORT = (ImportError, OSError, RuntimeError, AttributeError, AssertionError, LookupError, TypeError, ValueError)


@dataclass(frozen=True)
class Requirement:
    """A package that mmseq needs.

    Args:
        distributions: names on the package index that provide `module`; one of them suffices, the first is advised.
        minimum, below: least version, and least version that does not work any more; None leaves that side open.
        install: what to give to `pip install`.
        why: what needs it, or what breaks outside the range.
    """

    module: str
    distributions: tuple[str, ...]
    minimum: str | None
    below: str | None
    install: str
    why: str


REQUIREMENTS = (
    Requirement('torch', ('torch',), '2.6', None, 'torch>=2.6', 'older ones run code from checkpoint files'),
    Requirement('torchvision', ('torchvision',), None, None, 'torchvision', 'its operators stand in for mmcv._ext'),
    Requirement('mmengine', ('mmengine',), '0.10.0', '0.11', 'mmengine>=0.10,<0.11', 'the runner'),
    Requirement(
        'mmcv',
        ('mmcv-lite', 'mmcv'),
        '2.0.0rc4',
        '2.2',
        'mmcv-lite==2.1.0',
        'mmdet and mmsegmentation refuse others',
    ),
    Requirement('mmdet', ('mmdet',), '3.3.0', '3.4', 'mmdet==3.3.0', 'detection'),
    Requirement('mmseg', ('mmsegmentation',), '1.2.0', '1.3', 'mmsegmentation==1.2.2', 'segmentation'),
    Requirement(
        'pkg_resources', ('setuptools',), None, '81', 'setuptools<81', 'mmengine imports pkg_resources, gone in 81'
    ),
    Requirement(
        'cv2',
        (
            'opencv-python-headless',
            'opencv-python',
            'opencv-contrib-python',
            'opencv-contrib-python-headless',
        ),
        None,
        None,
        'opencv-python-headless',
        'images',
    ),
    Requirement('ftfy', ('ftfy',), None, None, 'ftfy', 'mmsegmentation imports it without saying so'),
    Requirement('regex', ('regex',), None, None, 'regex', 'mmsegmentation imports it without saying so'),
    Requirement('timm', ('timm',), None, None, 'timm', 'layers of the backbones'),
    Requirement('pycocotools', ('pycocotools',), None, None, 'pycocotools', 'COCO metrics'),
    Requirement('safetensors', ('safetensors',), None, None, 'safetensors', 'weights'),
)


def version_key(version: str) -> tuple[tuple[int, ...], int, int]:
    """Order versions as pip does, as far as releases and pre-releases go; a local part (`+cpu`) does not count.

    Raises:
        ValueError: the text does not start with a number.
    """
    match = re.match(r'v?(\d+(?:\.\d+)*)[._-]?(dev|a|b|rc|post)?(\d*)', version.strip().lower())
    if not match:
        raise ValueError(f'not a version: {version!r}')
    numbers = [int(number) for number in match[1].split('.')]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    stage = ('dev', 'a', 'b', 'rc', None, 'post').index(match[2])
    return tuple(numbers), stage, int(match[3] or 0)


def installed(requirement: Requirement) -> tuple[str, str] | None:
    """Return the name and version of the distribution that provides it, or None."""
    for name in requirement.distributions:
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        # Half removed packages leave a directory without a version behind.
        if version:
            return name, version
    return None


def problem(requirement: Requirement) -> str | None:
    """Say in one line what is wrong with a package and what to install, or return None."""
    found = installed(requirement)
    advice = f'pip install "{requirement.install}"'
    if found is None:
        return f'{requirement.distributions[0]} is not installed ({requirement.why}): {advice}'
    name, version = found
    key = version_key(version)
    if requirement.minimum and key < version_key(requirement.minimum):
        return f'{name} {version} is older than {requirement.minimum} ({requirement.why}): {advice}'
    # A release candidate of the excluded version is excluded too.
    if requirement.below and key[0] >= version_key(requirement.below)[0]:
        return f'{name} {version} is not below {requirement.below} ({requirement.why}): {advice}'
    return None


def python_problem() -> str | None:
    """Say in one line what is wrong with this Python, or return None."""
    low, high = PYTHON_RANGE
    if low <= sys.version_info[:2] <= high:
        return None
    have = '.'.join(map(str, sys.version_info[:2]))
    return f'Python {have} is outside 3.{low[1]} to 3.{high[1]}, for which mmengine works: use 3.{high[1]}'


def torchvision_problem() -> str | None:
    """Import torch and torchvision, run one operator, and say in one line what is wrong, or return None."""
    try:
        torch = importlib.import_module('torch')
        importlib.import_module('torchvision')
        boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 2.1], [5.0, 5.0, 6.0, 6.0]])
        kept = torch.ops.torchvision.nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5).tolist()
    except BROKEN_IMPORT as error:
        reason = f'{type(error).__name__}: {first_line(error)}'
    else:
        if kept == [0, 2]:
            return None
        reason = f'nms keeps boxes {kept} of [0, 2]'
    tags = {name: _build(name) for name in ('torch', 'torchvision')}
    pair = ', '.join(f'{name} {tag}' for name, tag in tags.items())
    tag = (tags['torch'] or '').partition('+')[2]
    index = f' --index-url https://download.pytorch.org/whl/{tag}' if tag else ''
    return f'torch and torchvision do not work together ({pair}; {reason}): pip install -U torch torchvision{index}'


def build_tags() -> tuple[str, str] | None:
    """Return the local parts of the versions of torch and torchvision (`cpu`, `cu126` or empty) if they differ."""
    tags = tuple((_build(name) or '').partition('+')[2] for name in ('torch', 'torchvision'))
    return None if tags[0] == tags[1] else tags


def _build(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def require() -> None:
    """Check Python, every row of `REQUIREMENTS` and the pair torch and torchvision; meant for the start of a tool.

    Raises:
        InputError: one line for each problem, with the command that mends it.
    """
    problems = [text for text in (python_problem(), *map(problem, REQUIREMENTS)) if text]
    if not problems:
        # Imports torch: pointless where it is known to be absent.
        problems = [text for text in (torchvision_problem(),) if text]
    if problems:
        raise InputError('\n'.join(problems))

"""Which versions of which packages work together, in one table, and the check of it.

Cause: mmdet and mmsegmentation name neither all that they need nor what they do not work with, and pip installs
combinations that fail with messages about something else.
Could go once `pip check` finds these by itself.
"""

import importlib
import importlib.metadata
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from packaging.specifiers import SpecifierSet

from mmseq.errors import InputError, first_line

PYTHON_RANGE = ((3, 10), (3, 13))

# What a package that is there, but broken, raises on import: ill-matched libraries, removed names, and the assertions
# of mmdet and mmsegmentation over the version of mmcv.
BROKEN_IMPORT = (ImportError, OSError, RuntimeError, AttributeError, AssertionError, LookupError, TypeError, ValueError)


@dataclass(frozen=True)
class Requirement:
    """A module that mmseq needs.

    Args:
        module: what is imported.
        releases: distributions that provide it, each with the versions that work, as pip writes them; one suffices.
        install: what to give to `pip install`.
        why: what needs it, or what breaks with other versions.
        needed_by: the distribution that alone needs it; None means mmseq does.
        broken: what is wrong with other versions of a distribution, where that is known better than `why`.
    """

    module: str
    releases: Mapping[str, str]
    install: str
    why: str
    needed_by: str | None = None
    broken: Mapping[str, str] = field(default_factory=dict)


# The four packages of OpenMMLab come from one of two lines of releases: upstream's, frozen since 2024, and a maintained
# one of the same import names, whose distributions are called `onedl-*`.
MAINTAINED = 'onedl-'
OPENMMLAB = (
    Requirement(
        'mmengine',
        {'mmengine': '>=0.10,<0.11', 'onedl-mmengine': '>=0.10.8,<0.11'},
        'mmengine>=0.10,<0.11',
        'the runner',
    ),
    Requirement(
        'mmcv',
        {'mmcv-lite': '>=2.0.0rc4,<2.2', 'mmcv': '>=2.0.0rc4,<2.2', 'onedl-mmcv': '>=2.3,<2.4'},
        'mmcv-lite==2.1.0',
        'mmdet and mmsegmentation refuse others',
    ),
    Requirement(
        'mmdet',
        {'mmdet': '>=3.3,<3.4', 'onedl-mmdetection': '>=3.4.7,<4'},
        'mmdet==3.3.0',
        'detection',
        broken={'onedl-mmdetection': '3.4.0 evaluates with faster_coco_eval, which it does not bring'},
    ),
    Requirement(
        'mmseg',
        {'mmsegmentation': '>=1.2,<1.3', 'onedl-mmsegmentation': '>=1.3,<2'},
        'mmsegmentation==1.2.2',
        'segmentation',
    ),
)
REQUIREMENTS = (
    Requirement('torch', {'torch': '>=2.6'}, 'torch>=2.6', 'older ones run code from checkpoint files'),
    Requirement('torchvision', {'torchvision': ''}, 'torchvision', 'its operators stand in for mmcv._ext'),
    *OPENMMLAB,
    Requirement(
        'pkg_resources',
        {'setuptools': '<81'},
        'setuptools<81',
        'mmengine imports pkg_resources, gone in 81',
        needed_by='mmengine',
    ),
    Requirement(
        'cv2',
        dict.fromkeys(
            ('opencv-python', 'opencv-python-headless', 'opencv-contrib-python', 'opencv-contrib-python-headless'), ''
        ),
        'opencv-python',
        'images',
    ),
    Requirement('ftfy', {'ftfy': ''}, 'ftfy', 'mmsegmentation imports it without saying so'),
    Requirement('regex', {'regex': ''}, 'regex', 'mmsegmentation imports it without saying so'),
    Requirement('pycocotools', {'pycocotools': ''}, 'pycocotools', 'COCO metrics'),
    Requirement('safetensors', {'safetensors': ''}, 'safetensors', 'weights'),
)


def installed(requirement: Requirement) -> list[tuple[str, str]]:
    """Names and versions of the distributions that provide it."""
    have = ((name, _version(name)) for name in requirement.releases)
    return [(name, version) for name, version in have if version]


def is_needed(requirement: Requirement) -> bool:
    """Whether anything that is installed needs it."""
    return requirement.needed_by is None or bool(_version(requirement.needed_by))


def advice(requirement: Requirement) -> tuple[str, str]:
    """A distribution that provides it, of the line whose runner is installed, and what to give to `pip install`."""
    maintained = next((name for name in requirement.releases if name.startswith(MAINTAINED)), None)
    if maintained and _version(f'{MAINTAINED}mmengine'):
        return maintained, maintained + requirement.releases[maintained]
    return next(iter(requirement.releases)), requirement.install


def problem(requirement: Requirement) -> str | None:
    """Say in one line what is wrong with a module's distribution and what to install, or return None."""
    advised, install = advice(requirement)
    have = installed(requirement)
    if not have:
        return f'{advised} is not installed ({requirement.why}): pip install "{install}"'
    for name, version in have:
        wanted, reason = requirement.releases[name], requirement.broken.get(name, requirement.why)
        if not SpecifierSet(wanted).contains(version, prereleases=True):
            return f'{name} {version} is outside {wanted} ({reason}): pip install "{install}"'
    return None


def line_problem() -> str | None:
    """Say in one line that packages come from both lines, which overwrite or refuse each other, or return None."""
    names = [name for requirement in OPENMMLAB for name, _ in installed(requirement)]
    maintained = [name for name in names if name.startswith(MAINTAINED)]
    upstream = [name for name in names if not name.startswith(MAINTAINED)]
    if not (maintained and upstream):
        return None
    return (
        f'{", ".join(upstream)} and {", ".join(maintained)} are of two lines of OpenMMLab, which share their import '
        f'names: pip uninstall {" ".join(names)}, then install those of one line'
    )


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
    pair = ', '.join(f'{name} {_version(name)}' for name in ('torch', 'torchvision'))
    tag = _build('torch')
    index = f' --index-url https://download.pytorch.org/whl/{tag}' if tag else ''
    return f'torch and torchvision do not work together ({pair}; {reason}): pip install -U torch torchvision{index}'


def build_tags() -> tuple[str, str] | None:
    """Return the local parts of the versions of torch and torchvision (`cpu`, `cu126` or empty) if they differ."""
    tags = _build('torch'), _build('torchvision')
    return None if tags[0] == tags[1] else tags


def _build(name: str) -> str:
    return (_version(name) or '').partition('+')[2]


def _version(name: str) -> str | None:
    """Its version; None without such a distribution, and for what a removal left behind, a folder without a version."""
    try:
        return importlib.metadata.version(name) or None
    except importlib.metadata.PackageNotFoundError:
        return None


def require() -> None:
    """Check Python, every row of `REQUIREMENTS` and the pair torch and torchvision; meant for the start of a tool.

    Raises:
        InputError: one line for each problem, with the command that solves it.
    """
    rows = (problem(requirement) for requirement in REQUIREMENTS if is_needed(requirement))
    problems = [text for text in (python_problem(), *rows, line_problem()) if text]
    if not problems:
        # Imports torch: pointless where it is known to be absent.
        problems = [text for text in (torchvision_problem(),) if text]
    if problems:
        raise InputError('\n'.join(problems))

"""``_base_ = 'mmseq::upernet_seq2d_s_ade20k.py'``: the configs that come with mmseq, from any folder.

Cause: mmengine looks up ``package::config`` for the packages of a list of its own, wants a slash in the name, and gives
what it read the scope of the package, whereas our configs name theirs themselves (``mmdet`` or ``mmseg``). For each
base of a package it also parses the package's hundred metafiles, a quarter of a second, to find the file that lies
under its name in ``.mim/configs``: that is looked at first.
Could go once mmengine asks any installed package for its ``.mim/configs`` and leaves an own ``default_scope`` alone.
"""

import functools
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from mmseq.compat.import_hooks import when_imported
from mmseq.errors import InputError

PREFIX = 'mmseq::'
_PACKAGE = Path(__file__).parents[1]


def install() -> None:
    """Patch mmengine's Config when it is imported; nothing is imported here."""
    when_imported('mmengine.config.config', _patch)


def folder() -> Path:
    """The folder of the configs: inside an installed package, beside the package in a checkout.

    Raises:
        InputError: there is none.
    """
    for path in (_PACKAGE / '.mim' / 'configs', _PACKAGE.parent / 'configs'):
        if (path / '_base_').is_dir():
            return path
    raise InputError(f'the configs of mmseq are not beside {_PACKAGE}; install it again, or work in a checkout')


def locate(name: str) -> Path:
    """The file of ``mmseq::NAME`` or ``mmseq::NAME.py``, whether or not it exists."""
    relative = name.removeprefix(PREFIX)
    return folder() / (relative if relative.endswith('.py') else f'{relative}.py')


def name_of(file: str) -> str:
    """``mmseq::NAME`` for the absolute path of a config that comes with mmseq; any other path as it is."""
    path = Path(file)
    return f'{PREFIX}{path.stem}' if path.is_absolute() and path == locate(path.name) else file


def upstream(name: str) -> str:
    """The file of ``PACKAGE::FOLDER/NAME.py``, as mmengine finds it for a ``_base_``, or of ``PACKAGE::NAME`` alone.

    Raises:
        InputError: several configs, or none, have a bare name.
        ImportError, OSError, RuntimeError or ValueError: there is no such package or file, or the name is none.
    """
    # Imported where it is used: our own configs are found without mmengine.
    from mmengine.config import Config

    name = name if name.endswith('.py') else f'{name}.py'
    if '/' not in name:
        return _by_bare_name(name)
    return Config._get_cfg_path(name, '')[0]


def _by_bare_name(name: str) -> str:
    """The one config of a package that has a name, in whatever folder; see :func:`upstream`."""
    package, _, file = name.partition('::')
    place = _folder_of(package)
    if place is None:
        raise InputError(f'config {name}: no package {package!r} is installed; expected mmseq, mmdet or mmseg')
    paths = {path.relative_to(place).as_posix(): path for path in sorted(place.rglob('*.py'))}
    found = [relative for relative, path in paths.items() if path.name == file]
    if len(found) == 1:
        return str(paths[found[0]])
    near = found or get_close_matches(file, {Path(one).name: one for one in paths}, 3)
    how = 'several have this name' if found else 'no config has this name; nearest'
    raise InputError(f'config {name}: {how}: {", ".join(f"{package}::{one}" for one in near) or "none"}')


def _folder_of(package: str) -> Path | None:
    """The folder of the configs of an installed package, which need not exist; None if there is no such package."""
    spec = find_spec(package) if package.isidentifier() else None
    return Path(spec.origin).parent / '.mim' / 'configs' if spec and spec.origin else None


def _patch(module: ModuleType) -> None:
    original = module.Config._get_cfg_path

    @functools.wraps(original)
    def get_cfg_path(cfg_path: str, filename: str) -> tuple[str, str | None]:
        if cfg_path.startswith(PREFIX):
            return str(locate(cfg_path)), None
        package, _, name = cfg_path.partition('::')
        place = _folder_of(package) if name else None
        if place and (place / name).is_file():
            return str(place / name), package
        return original(cfg_path, filename)

    module.Config._get_cfg_path = staticmethod(get_cfg_path)

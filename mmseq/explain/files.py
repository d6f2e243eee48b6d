"""Config files that cannot be read."""

import ast
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmseq.errors import InputError, first_line
from mmseq.explain.classes import importable

# What reading a config raises; a config is a program.
UNREADABLE = (
    SyntaxError,
    NameError,
    KeyError,
    TypeError,
    OSError,
    ImportError,
    ValueError,
    RuntimeError,
    AttributeError,
    AssertionError,
    IndexError,
)
READING: tuple[tuple[str, str], ...] = (
    (r"No such file or directory: '(.+)'", '_base_: no such file: {0}'),
    (r'file "(.+)" does not exist', '_base_: no such file: {0}'),
    (r'(\w+) is not installed, please install', '_base_: {0} is not installed: pip install {0}'),
    ('_get_package_and_cfg_path', '_base_: expected PACKAGE::FOLDER/FILE.py, as mmdet::_base_/default_runtime.py'),
)
CUSTOM = re.compile(r'Failed to import custom modules from (\{.*?\}),', re.DOTALL)


@contextmanager
def explained(path: str, file: str) -> Iterator[None]:
    """Turn an exception of reading a config file into an InputError that names the fault.

    Args:
        path: of the config, as the user gave it.
        file: that it stands for.
    """
    try:
        yield
    except InputError:
        raise
    except (*UNREADABLE, MemoryError) as error:
        raise InputError(f'config {path}: {explain(error, file)}') from error


def explain(error: BaseException, path: str) -> str:
    """What is wrong with a config file, in one line.

    Args:
        error: what reading it has raised.
        path: of the file.
    """
    match = CUSTOM.search(str(error))
    if match:
        return custom_imports(ast.literal_eval(match[1])['imports'], error, path)
    if isinstance(error, SyntaxError):
        return syntax(error, path)
    if isinstance(error, NameError):
        return f'{error}; text in a config needs quotes'
    text = first_line(error)
    if 'Duplicate key' in text:
        names = sorted(re.findall(r"'(\w+)'", text))
        listed = ', '.join(names[:5]) + (f' and {len(names) - 5} more' if len(names) > 5 else '')
        return f'two files of its _base_ define {listed}: leave one out, and write what it changes into the config'
    for pattern, say in READING:
        if match := re.search(pattern, text):
            return say.format(*match.groups())
    if isinstance(error, KeyError):
        return f'neither it nor its bases define {text}'
    return f'{type(error).__name__}: {text}'


def syntax(error: SyntaxError, path: str) -> str:
    """Where a file is no Python; mmengine reads the bases too, and does not say which file it was."""
    try:
        compile(Path(path).read_text(encoding='utf-8'), path, 'exec')
    except SyntaxError as own:
        return f'line {own.lineno}: SyntaxError: {own.msg}'
    return f'line {error.lineno} of one of its bases: SyntaxError: {error.msg}'


def custom_imports(modules: str | list[str], error: BaseException, path: str) -> str:
    """Which module of ``custom_imports`` cannot be imported, and why."""
    for module in [modules] if isinstance(modules, str) else modules:
        if importable(module):
            continue
        for folder in dict.fromkeys((Path.cwd(), Path(path).resolve().parent)):
            place = folder.joinpath(*module.split('.'))
            if place.with_suffix('.py').is_file() or (place / '__init__.py').is_file():
                return f'custom_imports: {module} is in {folder}, where Python does not look; PYTHONPATH={folder}'
        return f'custom_imports: there is no module {module}; correct the name, or say with PYTHONPATH=DIR where it is'
    *_, cause = causes(error)
    return f'custom_imports: importing fails with {type(cause).__name__}: {first_line(cause)}'


def causes(error: BaseException) -> Iterator[BaseException]:
    """An exception and those behind it, the first one last."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__

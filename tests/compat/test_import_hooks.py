"""The hook runs after the import, every time, and leaves no trace on the module."""

import importlib
import importlib.util
import inspect
import pkgutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from mmseq.compat import import_hooks
from mmseq.compat.import_hooks import stand_in, when_imported


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package `hooked` with the modules `hooked.inner` and `hooked.broken`."""
    folder = tmp_path / 'hooked'
    folder.mkdir()
    (folder / '__init__.py').write_text('')
    (folder / 'inner.py').write_text('value = 1\n\ndef function():\n    return value\n')
    (folder / 'outer.py').write_text('from hooked.inner import value\n')
    (folder / 'broken.py').write_text('raise RuntimeError("broken")\n')
    (folder / 'data.txt').write_text('data')
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(import_hooks, '_callbacks', {})
    yield folder
    for name in [name for name in sys.modules if name.split('.')[0] == 'hooked']:
        del sys.modules[name]


def test_called_after_the_import_and_before_others_take_names(package: Path) -> None:
    def change(module: ModuleType) -> None:
        assert module.value == 1
        module.value = 2

    when_imported('hooked.inner', change)
    assert 'hooked' not in sys.modules
    assert importlib.import_module('hooked.outer').value == 2


def test_called_at_once_for_a_loaded_module(package: Path) -> None:
    module = importlib.import_module('hooked.inner')
    seen: list[ModuleType] = []
    when_imported('hooked.inner', seen.append)
    assert seen == [module]


def test_same_callback_counts_once_and_others_keep_their_order(package: Path) -> None:
    seen: list[str] = []

    def first(module: ModuleType) -> None:
        seen.append('first')

    for _ in range(3):
        when_imported('hooked.inner', first)
    when_imported('hooked.inner', lambda module: seen.append('second'))
    importlib.import_module('hooked.inner')
    assert seen == ['first', 'second']
    assert sum(isinstance(finder, import_hooks._HookFinder) for finder in sys.meta_path) == 1


def test_reload_calls_again(package: Path) -> None:
    seen: list[ModuleType] = []
    when_imported('hooked.inner', seen.append)
    module = importlib.import_module('hooked.inner')
    module.value = 5
    assert importlib.reload(module) is module
    assert module.value == 1
    assert seen == [module, module]


def test_find_spec_works_before_and_after(package: Path) -> None:
    seen: list[ModuleType] = []
    when_imported('hooked.inner', seen.append)
    assert importlib.util.find_spec('hooked.inner').origin == str(package / 'inner.py')
    assert importlib.util.find_spec('hooked.absent') is None
    assert seen == []
    importlib.import_module('hooked.inner')
    assert importlib.util.find_spec('hooked.inner').origin == str(package / 'inner.py')
    assert len(seen) == 1


def test_module_looks_ordinary(package: Path) -> None:
    when_imported('hooked.inner', lambda module: None)
    module = importlib.import_module('hooked.inner')
    ordinary = importlib.import_module('hooked.outer')
    assert type(module.__loader__) is type(ordinary.__loader__)
    assert module.__spec__.loader is module.__loader__
    assert 'return value' in inspect.getsource(module.function)
    assert pkgutil.get_data('hooked', 'data.txt') == b'data'


def test_source_is_found_through_the_spec_of_a_module_not_yet_imported(package: Path) -> None:
    when_imported('hooked.inner', lambda module: None)
    assert 'value = 1' in importlib.util.find_spec('hooked.inner').loader.get_source('hooked.inner')


def test_failing_module_and_failing_callback(package: Path) -> None:
    seen: list[ModuleType] = []
    when_imported('hooked.broken', seen.append)
    with pytest.raises(RuntimeError, match='broken'):
        importlib.import_module('hooked.broken')
    assert seen == []
    assert 'hooked.broken' not in sys.modules

    def fail(module: ModuleType) -> None:
        raise KeyError('callback')

    when_imported('hooked.inner', fail)
    with pytest.raises(KeyError, match='callback'):
        importlib.import_module('hooked.inner')
    assert 'hooked.inner' not in sys.modules


def test_absent_module_stays_absent(package: Path) -> None:
    when_imported('hooked.absent', lambda module: None)
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module('hooked.absent')


def test_threads_importing_together_call_once(package: Path) -> None:
    (package / 'slow.py').write_text('import time\ntime.sleep(0.2)\nready = True\n')
    seen: list[ModuleType] = []
    when_imported('hooked.slow', seen.append)
    threads = [threading.Thread(target=importlib.import_module, args=('hooked.slow',)) for _ in range(4)]
    for thread in threads:
        thread.start()
    late: list[bool] = []
    # Registered while the others are in the middle of it: waits for a whole module.
    when_imported('hooked.slow', lambda module: late.append(module.ready))
    for thread in threads:
        thread.join()
    assert len(seen) == 1
    assert late
    assert all(late)


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Stand-ins for modules `stood.in_for` of a package that is not there."""
    monkeypatch.setattr(import_hooks, '_stand_ins', {})
    yield
    for name in [name for name in sys.modules if name.split('.')[0] == 'stood']:
        del sys.modules[name]


def test_stand_in_is_filled_once_it_is_imported(absent: None) -> None:
    filled: list[str] = []

    def fill(module: ModuleType) -> None:
        filled.append(module.__name__)
        module.value = 3

    for _ in range(2):
        stand_in('stood', lambda module: None)
        stand_in('stood.in_for', fill)
    assert importlib.util.find_spec('stood').origin == import_hooks.STAND_IN
    assert filled == []
    assert importlib.import_module('stood.in_for').value == 3
    assert filled == ['stood.in_for']
    assert importlib.util.find_spec('stood.other') is None
    assert sum(isinstance(finder, import_hooks._StandInFinder) for finder in sys.meta_path) == 1


def test_what_is_installed_wins_over_its_stand_in(absent: None, package: Path) -> None:
    stand_in('hooked.inner', lambda module: vars(module).update(value=3))
    assert importlib.import_module('hooked.inner').value == 1

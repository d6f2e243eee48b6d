"""Shared by all tests."""

import ast
import gc
import os
import shutil
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.config import config as config_module

from tests.nursery import Nursery

if not torch.cuda.is_available():
    # Read when a kernel is decorated, which is at a triton backend's first use.
    os.environ.setdefault('TRITON_INTERPRET', '1')

ROOT = Path(__file__).parent.parent
# Real COCO and ADE20K subsets lie beside a checkout, if anywhere.
REAL_DATA = Path(os.environ.get('MMSEQ_TEST_DATA', ROOT.parent / 'shared' / 'data'))
CHROMIUM = os.environ.get('MMSEQ_CHROMIUM') or shutil.which('chromium') or shutil.which('google-chrome')
FLAGS = [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
]


# Files that take a minute or more. They begin first, so that none is left to one process when all else is done.
SLOW = (
    'device/test_device.py',
    'faults/test_nodes.py',
    'docs/test_docs.py',
    'docs/test_site.py',
    'engine/test_fsdp.py',
    'test_training.py',
    'faults/test_slurm.py',
    'faults/test_elastic.py',
    'test_export.py',
    'docs/test_notebooks.py',
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    places = {here / name: place for place, name in enumerate(SLOW)}
    items.sort(key=lambda item: places.get(item.path, len(SLOW)))


@pytest.fixture(autouse=True, scope='module')
def _imports_are_no_garbage() -> None:
    """mmengine collects garbage for every data set that it builds: half a second where all packages are looked at."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(autouse=True, scope='session')
def _configs_are_not_styled() -> Iterator[None]:
    """yapf takes a second for a config, which is written several times in a run; what it refuses is refused here too.

    Whether configs are styled, and when, is tested in tests/compat/test_config_text.py.
    """

    def unstyled(text: str, **options: Any) -> tuple[str, bool]:
        ast.parse(text)
        return text, False

    with pytest.MonkeyPatch.context() as patch:
        # The other line of mmengine has no such name.
        patch.setattr(config_module, 'FormatCode', unstyled, raising=False)
        yield


class Configs(Mapping[str, Config]):
    """The configs of a folder by name, each read when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self._paths = {path.stem: path for path in sorted(folder.glob('*.py'))}
        self._read = cache(Config.fromfile)

    def __getitem__(self, name: str) -> Config:
        return self._read(self._paths[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)


@pytest.fixture(scope='session')
def configs() -> Configs:
    """All leaf configs by name, read once for all tests; take a copy before changing one."""
    return Configs(ROOT / 'configs')


@pytest.fixture(scope='session')
def nursery() -> Iterator[Nursery]:
    """Starts scripts without the seconds that the imports take each time."""
    nursery = Nursery()
    yield nursery
    nursery.close()


@pytest.fixture
def real_data() -> Path:
    """The real subsets, or a skip that says where they were looked for."""
    if not (REAL_DATA / 'coco').is_dir():
        pytest.skip(f'no real data at {REAL_DATA} (MMSEQ_TEST_DATA)')
    return REAL_DATA


@pytest.fixture
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that is handed out uninitialised holds NaN, so that reading before writing shows."""

    def poison(make):
        def made(*args, **kwargs):
            tensor = make(*args, **kwargs)
            return tensor.fill_(float('nan')) if tensor.is_floating_point() else tensor

        return made

    monkeypatch.setattr(torch, 'empty', poison(torch.empty))
    monkeypatch.setattr(torch, 'empty_like', poison(torch.empty_like))
    monkeypatch.setattr(torch.Tensor, 'new_empty', poison(torch.Tensor.new_empty))


@pytest.fixture(scope='module')
def browser() -> Iterator[Any]:
    """Chromium, driven by playwright; of one module, since playwright refuses to be started twice at a time."""
    if not CHROMIUM:
        pytest.skip('no chromium on the path (MMSEQ_CHROMIUM)')
    playwright = pytest.importorskip('playwright.sync_api', reason='playwright is not installed (mmseq[dev])')
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()

"""Small real runs, and visits to pages in a browser."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mmseq.datasets.shapes import generate

CONFIGS = Path(__file__).parents[3] / 'configs'
TASKS = {
    'seg': ('upernet_seq2d_nano_shapes', {'train_cfg.max_iters': 2, 'train_cfg.val_interval': 2}),
    'det': ('mask_rcnn_seq2d_nano_shapes', {'train_cfg.max_epochs': 1, 'train_cfg.val_interval': 1}),
}


@pytest.fixture(scope='session')
def small_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A segmentor ``seg`` and a detector ``det`` of two steps, and ``seg_2`` with other scores of its images."""
    from mmseq.engine import launch

    root = tmp_path_factory.mktemp('runs')
    generate(root / 'data' / 'shapes', train=4, val=4, seed=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('MMSEQ_DATA', str(root / 'data'))
        for name, (config, options) in TASKS.items():
            own = {'train_dataloader.batch_size': 2, 'default_hooks.logger.interval': 1}
            path = str(CONFIGS / f'{config}.py')
            launch.train(path, options=options | own, work_dir=str(root / name), check_data=False)
    shutil.copytree(root / 'seg', root / 'seg_2')
    table = root / 'seg_2' / 'per_image.csv'
    head, *rows = table.read_text().splitlines()
    cells = [row.split(',') for row in rows]
    table.write_text('\n'.join([head, *(','.join([a, str(10 * i), *rest]) for i, (a, _, *rest) in enumerate(cells))]))
    return root


@pytest.fixture
def visit(browser: Any) -> Iterator[Any]:
    """Opens a page; at the end it must have loaded one file, and have complained of nothing."""
    requests, complaints, pages = [], [], []

    def visit(path: Path, width: int = 1400, scheme: str = 'light') -> Any:
        page = browser.new_page(viewport=dict(width=width, height=900), color_scheme=scheme)
        page.on('console', lambda message: complaints.append(message.text))
        page.on('pageerror', lambda error: complaints.append(str(error)))
        page.on('request', lambda request: requests.append(request.url))
        page.goto(path.as_uri())
        page.wait_for_selector('footer')
        pages.append((page, path.as_uri()))
        return page

    yield visit
    assert complaints == []
    assert [url for url in requests if not url.startswith('data:')] == [address for _, address in pages]
    for page, _ in pages:
        page.close()

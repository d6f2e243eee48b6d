"""Resuming late in a long training is a matter of seconds, and goes on with the very next batch."""

import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from mmengine.runner import Runner

from mmseq.checkpoints.storage import save_file
from mmseq.engine.loader import NumberedLoader
from tests.faults.toys import Vectors, recorded
from tests.nursery import Nursery

CONFIGS = Path(__file__).parent / 'configs'
AT, END = 150_000, 160_000


def loader(sampler: str, aspect: bool, dataset: Any) -> NumberedLoader:
    config = dict(
        dataset=dataset,
        sampler=dict(type=sampler, shuffle=True),
        batch_size=2,
        num_workers=0,
        collate_fn=dict(type='pseudo_collate'),
    )
    if aspect:
        config['batch_sampler'] = dict(type='mmdet.AspectRatioBatchSampler')
    return NumberedLoader(Runner.build_dataloader(config, seed=5), endless=True, seed=5)


class CountedVectors(Vectors):
    """Counts how often it is asked for samples and for sizes."""

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.counts = SimpleNamespace(samples=0, sizes=0)

    def __getitem__(self, index: int) -> dict:
        self.counts.samples += 1
        return super().__getitem__(index)

    def get_data_info(self, index: int) -> dict:
        self.counts.sizes += 1
        return super().get_data_info(index)


@pytest.mark.parametrize('aspect', [False, True], ids=['plain', 'aspect_ratio'])
@pytest.mark.parametrize('sampler', ['InfiniteSampler', 'DefaultSampler'])
def test_the_batches_after_a_skip_are_those_of_the_uninterrupted_loader(sampler: str, aspect: bool) -> None:
    import mmdet.datasets  # noqa: F401

    whole = iter(loader(sampler, aspect, Vectors(1001)).batch_sampler)
    for _ in range(AT):
        next(whole)
    expected = [next(whole) for _ in range(5)]
    assert [batch.number for batch in expected] == list(range(AT, AT + 5))
    dataset = CountedVectors(1001)
    late = loader(sampler, aspect, dataset)
    late.batch_sampler.skip = AT
    start = time.process_time()
    batches = iter(late.batch_sampler)
    assert [next(batches) for _ in range(5)] == expected
    assert time.process_time() - start < 20
    assert dataset.counts.samples == 0
    # Every image is asked for its size once, not once per pass.
    assert dataset.counts.sizes <= 1001 + 20


def test_a_run_resumes_at_150000_of_160000_within_seconds(nursery: Nursery, tmp_path: Path) -> None:
    config = [CONFIGS / 'toy.py', '--no-data-check', '--cfg-options', f'train_cfg.max_iters={END}']
    long = ['train_dataloader.dataset.length=20000', 'default_hooks.checkpoint.interval=1000000']
    nursery.train(
        *config[:3], 'train_cfg.max_iters=2', *long, '--work-dir', tmp_path / 'short', log=tmp_path / 'short.log'
    )
    checkpoint = torch.load(tmp_path / 'short' / 'iter_2.pth', weights_only=True)
    checkpoint['meta']['iter'] = AT
    (tmp_path / 'run').mkdir()
    save_file(checkpoint, tmp_path / 'run' / f'iter_{AT}.pth')
    start = time.monotonic()
    pid = nursery.start(
        *config,
        *long,
        'train_cfg.val_interval=1000000',
        '--work-dir',
        tmp_path / 'run',
        '--resume',
        log=tmp_path / 'log',
    )
    while not recorded(tmp_path / 'run'):
        assert nursery.status(pid) is None, (tmp_path / 'log').read_text()[-2000:]
        time.sleep(0.01)
    seconds = time.monotonic() - start
    os.kill(pid, 9)
    nursery.wait(pid)
    assert recorded(tmp_path / 'run')[0][0] == AT
    assert seconds < 60

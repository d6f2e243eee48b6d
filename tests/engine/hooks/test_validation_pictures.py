"""Pictures of validations: which, when, and from which process."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub

import mmseq
from mmseq.datasets.shapes import generate
from mmseq.engine.hooks import ValidationPicturesHook
from mmseq.engine.processes import leave_group
from tests.nursery import Nursery

CONFIGS = Path(mmseq.__file__).parents[1] / 'configs'


class Places(ValidationPicturesHook):
    """Draws an image's name."""

    def _draw(self, runner: object, sample: SimpleNamespace) -> np.ndarray:
        return np.full((2, 2, 3), int(Path(sample.img_path).stem), np.uint8)


def evaluate(hook: ValidationPicturesHook, images: int, rank: int = 0, world: int = 1) -> list[tuple]:
    """What a validation in batches of 2 hands on: name, the value that was drawn, iteration."""
    found = []
    visualizer = SimpleNamespace(
        add_image=lambda name, picture, step: found.append((name, int(picture[0, 0, 0]), step))
    )
    runner = SimpleNamespace(val_dataloader=SimpleNamespace(dataset=range(images)), visualizer=visualizer)
    hook.before_val_epoch(runner)
    # as mmengine's sampler does: in turn, and the first ones again so that all have as many
    padded = [i % images for i in range(-(-images // world) * world)]
    mine = [SimpleNamespace(img_path=f'x/{i}.png') for i in padded[rank::world]]
    for batch in range(0, len(mine), 2):
        hook.after_val_iter(runner, batch // 2, None, mine[batch : batch + 2])
    hook.after_val_epoch(runner)
    return found


def test_the_same_images_each_time_spread_over_the_data() -> None:
    hub = MessageHub.get_instance('pictures')
    hub.update_info('iter', 9)
    hook = Places(images=3)
    expected = [('val_0_0', 0, 10), ('val_3_3', 3, 10), ('val_6_6', 6, 10)]
    assert evaluate(hook, 10) == evaluate(hook, 10) == expected
    # no more than there are
    assert [name for name, *_ in evaluate(Places(images=8), 2)] == ['val_0_0', 'val_1_1']


def worker() -> None:
    """What each of the two processes of the next test runs."""
    torch.distributed.init_process_group('gloo')
    rank = torch.distributed.get_rank()
    found = [evaluate(Places(images=count), images, rank, 2) for images, count in ((7, 3), (4, 8))]
    Path(f'rank{rank}.json').write_text(json.dumps(found))
    leave_group()


def test_two_processes_draw_what_one_draws(nursery: Nursery, tmp_path: Path) -> None:
    script = tmp_path / 'worker.py'
    script.write_text('from tests.engine.hooks.test_validation_pictures import worker\n\nworker()\n')
    nursery.run(script=script, processes=2, cwd=tmp_path, log=tmp_path / 'log')
    first, second = json.loads((tmp_path / 'rank0.json').read_text())
    assert [name for name, *_ in first] == ['val_0_0', 'val_2_2', 'val_4_4']
    assert [value for _, value, _ in second] == [0, 1, 2, 3]
    assert json.loads((tmp_path / 'rank1.json').read_text()) == [[], []]


@pytest.mark.parametrize(
    ('name', 'options'),
    [
        ('upernet_seq2d_nano_shapes', ['train_cfg.max_iters=2', 'train_cfg.val_interval=1']),
        ('mask_rcnn_seq2d_nano_shapes', ['train_cfg.max_epochs=2', 'train_cfg.val_interval=1']),
    ],
)
def test_pictures_of_a_training(name: str, options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a logger, as files."""
    from mmseq.cli.train import main

    generate(tmp_path / 'shapes', train=2, val=3, seed=0)
    monkeypatch.setenv('MMSEQ_DATA', str(tmp_path))
    small = ['train_dataloader.batch_size=2', 'default_hooks.checkpoint.interval=9', *options]
    arguments = ['--work-dir', str(tmp_path / 'run'), '--log-images', '2', '--no-data-check', '--cfg-options', *small]
    assert main([str(CONFIGS / f'{name}.py'), *arguments]) == 0
    (folder,) = (tmp_path / 'run').glob('*/vis_data/vis_image')
    names = {f'val_{place}_{place + 1:012}_{step}.png' for place in (0, 1) for step in (1, 2)}
    assert {path.name for path in folder.iterdir()} == names

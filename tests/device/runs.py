"""A training on the artificial device, validated, saved and resumed, in a process of its own; see test_device.py.

usage: runs.py FOLDER CONFIG [CONFIG ...]
"""

import faulthandler
import json
import sys
import time
from pathlib import Path
from typing import Any

from mmengine.hooks import Hook

from mmseq.engine import launch
from tests.device import artificial

SMALL = {
    'train_dataloader.batch_size': 2,
    'train_dataloader.num_workers': 0,
    'train_dataloader.persistent_workers': False,
    'val_dataloader.num_workers': 0,
    'val_dataloader.persistent_workers': False,
    'default_hooks.logger.interval': 1,
    'model.backbone.drop_path_rate': 0.3,
}
TASKS: dict[str, dict[str, Any]] = {
    'upernet': {
        'train_cfg.max_iters': 3,
        'train_cfg.val_interval': 3,
        'default_hooks.checkpoint.interval': 2,
        # What the last iteration takes is counted.
        'default_hooks.checkpoint.save_last': False,
        'default_hooks.checkpoint.max_keep_ckpts': 9,
    },
    'mask_rcnn': {'train_cfg.max_epochs': 2, 'train_cfg.val_interval': 2, 'default_hooks.checkpoint.max_keep_ckpts': 9},
}
# The whole run was validated.
UNVALIDATED = {'train_cfg.val_begin': 99}
MIDDLE = {'upernet': 'iter_2.pth', 'mask_rcnn': 'epoch_1.pth'}


class CountHook(Hook):
    """What each iteration of a training launches and waits for."""

    priority = 'LOWEST'

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        self.before = dict(artificial.counted()), dict(artificial.syncs)

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        (numbers, sites), now = self.before, artificial.counted()
        where = {key: value - sites.get(key, 0) for key, value in artificial.syncs.items()}
        loss = float(outputs['loss'].inner)
        found = {key: now[key] - numbers[key] for key in now}
        self.rows.append(dict(found, loss=loss, sites={key: value for key, value in where.items() if value}))


def train(config: str, folder: Path, extra: dict[str, Any], **options: Any) -> dict[str, Any]:
    """The rows of the iterations, and where the weights ended."""
    hook, build = CountHook(), launch.build_runner

    def build_with_hook(*arguments: Any) -> Any:
        runner = build(*arguments)
        runner.register_hook(hook)
        return runner

    launch.build_runner = build_with_hook
    task = 'upernet' if 'upernet' in config else 'mask_rcnn'
    try:
        runner = launch.train(
            config,
            work_dir=str(folder),
            options=SMALL | TASKS[task] | extra,
            amp='bfloat16',
            check_data=False,
            **options,
        )
    finally:
        launch.build_runner = build
    return dict(iterations=hook.rows, device=str(next(runner.model.parameters()).device))


def main() -> None:
    faulthandler.enable()
    folder, *configs = sys.argv[1:]
    artificial.start()
    artificial.chosen_by_mmengine()
    for config in configs:
        name = Path(config).stem
        task = 'upernet' if 'upernet' in name else 'mask_rcnn'
        begin = time.process_time()
        whole = train(config, Path(folder) / name, {})
        checkpoint = Path(folder) / name / MIDDLE[task]
        rest = train(config, Path(folder) / f'{name}_resumed', UNVALIDATED, resume=str(checkpoint))
        found = dict(
            whole=whole,
            rest=rest,
            lstms={str(dtype): number for dtype, number in artificial.lstms.items()},
            seconds=time.process_time() - begin,
        )
        artificial.lstms.clear()
        (Path(folder) / f'{name}.json').write_text(json.dumps(found))


if __name__ == '__main__':
    main()

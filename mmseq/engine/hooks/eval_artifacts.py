"""Every evaluation leaves its results in files."""

from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import is_main_process
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.runner import Runner

import mmseq
from mmseq.evaluation.per_class import Table
from mmseq.evaluation.recorders import Recorder, attach
from mmseq.files import append_json_line, write_csv, write_json
from mmseq.registry import HOOKS

_DISTRIBUTIONS = {'mmengine': 'mmengine', 'mmdet': 'mmdet', 'mmseg': 'mmsegmentation'}


@HOOKS.register_module()
class EvalArtifactsHook(Hook):
    """Write the results of every validation and test to files.

    Into the output folder go ``metrics.json`` (the metrics, per-class values, iteration, epoch, checkpoint, config,
    versions, time; NaN is null), ``per_class.csv``, ``per_image.csv`` (rows in the order of the data set),
    ``confusion_matrix.csv`` (rows are the truth; counts of pixels, or of objects with the background as last class)
    and, for detection, ``error_analysis.json`` (kinds of errors after TIDE). docs/evaluation.md defines each figure.
    They describe the latest evaluation and are replaced in one step each; what it did not find is removed. A
    validation during training also adds a line to ``metrics_history.jsonl``. With several metrics that have per-class
    results the second one's files are ``per_class_2.csv`` and so on.

    Args:
        out_dir: folder for the results of a test; None is the work dir, where those of a validation always go.
    """

    # after hooks that add to the metrics, before the logger
    priority = 'NORMAL'

    def __init__(self, out_dir: str | None = None) -> None:
        self.out_dir = out_dir
        self._recorders: list[Recorder] = []
        self._loaded: dict[str, Any] = {}

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Remember at which iteration the weights were saved, which a test cannot know otherwise."""
        meta = checkpoint.get('meta') or {}
        self._loaded = {key: meta.get(key) for key in ('iter', 'epoch')}

    def before_val(self, runner: Runner) -> None:
        """Listen to the validation metrics."""
        self._attach(runner.val_loop.evaluator)

    def before_test(self, runner: Runner) -> None:
        """Listen to the test metrics."""
        self._attach(runner.test_loop.evaluator)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Write what the validation found."""
        self._detach()
        if not is_main_process():
            return
        report = self._report(runner, 'val', metrics, len(runner.val_dataloader.dataset))
        self._write(Path(runner.work_dir), report)
        if _is_training(runner):
            keys = ('time', 'run', 'iteration', 'epoch', 'checkpoint', 'metrics')
            append_json_line(Path(runner.work_dir) / 'metrics_history.jsonl', {key: report[key] for key in keys})

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Write what the test found."""
        self._detach()
        if is_main_process():
            report = self._report(runner, 'test', metrics, len(runner.test_dataloader.dataset))
            self._write(Path(self.out_dir or runner.work_dir), report)

    def _attach(self, evaluator: Evaluator) -> None:
        recorders = [attach(metric) for metric in evaluator.metrics]
        self._recorders = [recorder for recorder in recorders if recorder is not None]

    def _detach(self) -> None:
        for recorder in self._recorders:
            recorder.detach()

    def _report(self, runner: Runner, mode: str, metrics: dict[str, Any] | None, dataset_size: int) -> dict[str, Any]:
        training = _is_training(runner)
        tables = [recorder.table for recorder in self._recorders if recorder.table is not None]
        return {
            'mode': mode,
            'metrics': dict(metrics or {}),
            'iteration': runner.iter if training else self._loaded.get('iter'),
            'epoch': runner.epoch if training else self._loaded.get('epoch'),
            'checkpoint': _checkpoint_of(runner, training),
            'config': Path(runner.cfg.filename).name if runner.cfg.filename else None,
            'experiment': runner.experiment_name,
            'run': runner.timestamp,
            'dataset_size': dataset_size,
            'versions': _versions(),
            'time': datetime.now().astimezone().isoformat(timespec='seconds'),
            'per_class': [table.records() for table in tables],
        }

    def _write(self, folder: Path, report: dict[str, Any]) -> None:
        write_json(folder / 'metrics.json', report)
        # those with results first: they are numbered by what they found
        for i, recorder in enumerate(sorted(self._recorders, key=lambda one: one.table is None)):
            suffix = f'_{i + 1}' if i else ''
            tables = {'per_class': recorder.table, 'per_image': recorder.images, 'confusion_matrix': recorder.confusion}
            for name, table in tables.items():
                _write_or_remove(folder / f'{name}{suffix}.csv', table)
            _write_or_remove(folder / f'error_analysis{suffix}.json', recorder.errors)


def _write_or_remove(path: Path, found: Table | dict[str, Any] | None) -> None:
    if found is None:
        # of an evaluation before this one
        path.unlink(missing_ok=True)
    elif isinstance(found, Table):
        write_csv(path, found.columns, found.rows)
    else:
        write_json(path, found)


def _is_training(runner: Runner) -> bool:
    # runner.train_loop would build the loop, and with it the training data, in a run that only tests
    return not (runner._train_loop is None or isinstance(runner._train_loop, dict))


def _checkpoint_of(runner: Runner, training: bool) -> str | None:
    """The file that holds the evaluated weights, if there is one."""
    if not training:
        return runner._load_from
    # mmengine saves before it validates, under the iteration or the epoch
    if 'last_ckpt' not in runner.message_hub.runtime_info:
        return None
    saved = runner.message_hub.get_info('last_ckpt')
    current = {f'iter_{runner.iter}', f'epoch_{runner.epoch}'}
    return saved if saved and Path(saved).stem in current else None


def _versions() -> dict[str, str | None]:
    versions: dict[str, str | None] = {'mmseq': mmseq.__version__, 'torch': torch.__version__}
    for name, distribution in _DISTRIBUTIONS.items():
        try:
            versions[name] = version(distribution)
        except PackageNotFoundError:
            versions[name] = None
    return versions

"""Damaged training files: logged when they are found; too many of them end the run."""

import json
from collections.abc import Sequence
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.dataset import BaseDataset
from mmengine.dist import all_gather
from mmengine.hooks import Hook
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from mmseq.datasets.nesting import built_datasets, dataset_class, loader_datasets
from mmseq.datasets.tolerant import CorruptDataError, TolerantDataset
from mmseq.nested import walk
from mmseq.registry import HOOKS

DATASET = 'mmseq.TolerantDataset'
SHOWN_FILES = 20


@HOOKS.register_module()
class CorruptDataHook(Hook):
    """Reports what `TolerantDataset` skips, and ends the run in all processes at once if that is too much.

    The names go to the log (of the first process) and to ``corrupt_files_rank<rank>.jsonl`` in the work dir, the
    number so far over all processes to the scalars as ``corrupt``.

    Args:
        allowed: samples that may be skipped however few were loaded.
        max_share: share of the loaded samples that may be skipped beyond that; counted over all processes.
        interval: iterations between two counts over all processes.
    """

    # before the logger, which reports the scalar
    priority = 'ABOVE_NORMAL'

    def __init__(self, allowed: int = 10, max_share: float = 0.01, interval: int = 50) -> None:
        self.allowed = allowed
        self.max_share = max_share
        self.interval = interval
        self._known = 0
        self._position: int | None = None
        self._told = 0
        self._total = 0

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        """Name new damaged files, count them and decide, every `interval` iterations."""
        parts = tolerant_datasets(runner)
        if not parts:
            return
        skipped = sum(int(part.counts[:, 1].sum()) for part in parts)
        if skipped > self._known:
            self._known = skipped
            self._tell(runner, parts)
        if self.every_n_train_iters(runner, self.interval):
            self._decide(runner, parts)
        if self._total:
            runner.message_hub.update_scalar('train/corrupt', self._total)

    def after_train(self, runner: Runner) -> None:
        """Count once more."""
        if parts := tolerant_datasets(runner):
            self._tell(runner, parts)
            self._decide(runner, parts)
            runner.logger.info(f'corrupt samples skipped in this run: {self._total}')

    def _tell(self, runner: Runner, parts: Sequence[Any]) -> None:
        start = min(part.record_start for part in parts) if self._position is None else self._position
        try:
            with open(parts[0].record, encoding='utf-8') as file:
                file.seek(start)
                # The last line may be still on its way.
                lines = [line for line in file if line.endswith('\n')]
        except FileNotFoundError:
            return
        self._position = start + sum(len(line.encode()) for line in lines)
        # The first one is empty behind a line that a kill has torn.
        for line in filter(str.strip, lines):
            self._told += 1
            if self._told <= SHOWN_FILES:
                runner.logger.warning(f'skipped a corrupt file: {json.loads(line)["message"]}')
            if self._told == SHOWN_FILES:
                runner.logger.warning(f'further corrupt files are named in {parts[0].record} only')

    def _decide(self, runner: Runner, parts: Sequence[Any]) -> None:
        counts = all_gather(sum(part.counts.sum(0) for part in parts))
        loaded, skipped = (int(value) for value in sum(counts))
        if skipped > self._total:
            each = ', '.join(f'rank {rank}: {int(n[1])} of {int(n[0])}' for rank, n in enumerate(counts))
            runner.logger.warning(f'corrupt samples skipped so far: {skipped} of {loaded} ({each})')
        self._total = skipped
        if skipped > self.allowed + self.max_share * loaded:
            raise CorruptDataError(
                f'training data: {skipped} of {loaded} samples are corrupt, more than {self.allowed} and '
                f'{self.max_share:.1%} of them; repair the files that {parts[0].record} names (mmseq check-data --all '
                'finds the others), or allow more in mmseq.CorruptDataHook'
            )


def tolerant_datasets(runner: Runner) -> list[TolerantDataset]:
    """Those within the data set that is trained on."""
    found = built_datasets(runner.train_dataloader.dataset)
    return [dataset for dataset in found if isinstance(dataset, TolerantDataset)]


def tolerate(cfg: Config) -> None:
    """Wrap the training data sets of a config, so that they skip damaged files.

    Only plain data sets on a local disk are wrapped: those with an own way of fetching samples keep it.
    """
    if cfg.get('train_dataloader'):
        with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmengine')):
            # A config that a run has written down is wrapped already.
            wrapped = [id(node['dataset']) for node in walk(cfg.train_dataloader) if node.get('type') == DATASET]
            for _, dataset in loader_datasets(cfg.train_dataloader, 'train_dataloader'):
                if id(dataset) not in wrapped:
                    _wrap(dataset, cfg.work_dir)


def _wrap(dataset: ConfigDict, work_dir: str) -> None:
    cls = dataset_class(dataset)
    if not isinstance(cls, type) or not issubclass(cls, BaseDataset) or dataset.get('backend_args'):
        return
    if (cls.__getitem__, cls.prepare_data) == (BaseDataset.__getitem__, BaseDataset.prepare_data):
        wrapped = ConfigDict(type=DATASET, dataset=ConfigDict(dataset), record_dir=work_dir)
        dataset.clear()
        dataset.update(wrapped)

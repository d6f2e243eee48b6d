"""What can be wrong between a config and its data, found before training starts."""

import logging
import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import DefaultScope

from mmseq.checkpoints.fetch import locate
from mmseq.datasets.checks import Report, examine_coco
from mmseq.datasets.checks.remembered import remembered
from mmseq.datasets.checks.shared import Progress
from mmseq.datasets.nesting import loader_datasets
from mmseq.engine.config_classes import as_list
from mmseq.engine.examiners import check_places, examiner, keeps_eight_bits
from mmseq.engine.ignored_pixels import check_ignored_pixels, check_zero_label
from mmseq.engine.metric_options import check_metric_options
from mmseq.errors import InputError
from mmseq.explain.work import Work
from mmseq.files import write_json
from mmseq.nested import walk

# Labels that a byte tells apart.
BYTES = 256


def check_config(cfg: Config, loaders: Sequence[str]) -> None:
    """What a config says is there and fits together; takes milliseconds, and no option leaves it out.

    Args:
        cfg: the whole config.
        loaders: top-level keys of the data that the run reads.

    Raises:
        InputError: data that are not there, heads that differ in their classes, values to ignore that differ,
            a 0 that is a class for one and none for another, options that end the evaluation.
    """
    check_data_places(cfg, loaders)
    check_class_counts(cfg)
    check_label_range(cfg, loaders)
    check_ignored_pixels(cfg, loaders)
    check_zero_label(cfg, loaders)
    check_metric_options(cfg, loaders)


def check_weights(cfg: Config) -> None:
    """The files of weights that the model begins with are there; a backbone of ours fetches its own from an address.

    Raises:
        InputError: one is not, or cannot be had.
    """
    for node in walk(cfg.model):
        init = node.get('init_cfg')
        if not isinstance(init, dict) or init.get('type') != 'Pretrained':
            continue
        name = init.get('checkpoint')
        if isinstance(name, str) and ('://' not in name or str(node.get('type')).startswith('mmseq.')):
            locate(name)


def check_data_places(cfg: Config, loaders: Sequence[str]) -> None:
    """The data roots, folders and annotation files of data sets and metrics are there.

    Raises:
        InputError: one is not.
    """
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmengine')):
        for loader in loaders:
            for key, dataset in loader_datasets(cfg.get(loader), loader):
                check_places(key, dataset, cfg)
    for name in [loader.replace('_dataloader', '_evaluator') for loader in loaders]:
        for metric in as_list(cfg.get(name)):
            path = metric.get('ann_file')
            local = isinstance(path, str) and '://' not in path and not metric.get('backend_args')
            if local and not os.path.exists(path):
                raise InputError(f'{name}.ann_file: {path} is not there; correct it, or fetch the data set')


def check_class_counts(cfg: Config) -> None:
    """All heads of the model predict the same number of classes.

    Raises:
        InputError: they differ.
    """
    counts = dict(head_class_counts(cfg.model, 'model'))
    if len(set(counts.values())) > 1:
        listed = ', '.join(f'{key}={count}' for key, count in counts.items())
        raise InputError(f'config: the heads differ in their number of classes: {listed}; set all to the same')


def check_label_range(cfg: Config, loaders: Sequence[str]) -> None:
    """The labels of a segmentation fit into what mmseg loads them as: bytes, in which label 256 becomes 0.

    Raises:
        InputError: there are more classes.
    """
    count = max((count for _, count in head_class_counts(cfg.model, 'model')), default=0)
    if count <= BYTES:
        return
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmengine')):
        for loader in loaders:
            for key, dataset in loader_datasets(cfg.get(loader), loader):
                if keeps_eight_bits(dataset):
                    raise InputError(
                        f'config: {count} classes, and {key} loads labels with mmseg.LoadAnnotations, which keeps '
                        f'{BYTES}; use fewer classes, or a transform of your own that loads 16 bits'
                    )


def head_class_counts(node: Any, key: str) -> Iterator[tuple[str, int]]:
    """Every ``num_classes`` of the model's heads with its key; backbones have classes of their own."""
    if isinstance(node, dict):
        if isinstance(node.get('num_things_classes'), int):
            # Panoptic heads count things and stuff apart.
            things, stuff = node['num_things_classes'], node['num_stuff_classes']
            yield f'{key}.num_things_classes={things} + num_stuff_classes', things + stuff
        loss = node.get('loss_cls')
        if isinstance(loss, dict) and isinstance(weights := loss.get('class_weight'), (list, tuple)):
            # Softmax heads weigh one class more: none of them.
            less, words = (0, '') if loss.get('use_sigmoid') else (1, ' less one')
            yield f'{key}.loss_cls.class_weight, its length{words}', len(weights) - less
        for name, value in node.items():
            if name == 'num_classes' and isinstance(value, int):
                # Class-agnostic heads, as the RPN, say 1.
                if value > 1 or 'rpn' not in key:
                    yield f'{key}.{name}', value
            elif name not in ('backbone', 'data_preprocessor', 'train_cfg', 'test_cfg'):
                yield from head_class_counts(value, f'{key}.{name}')
    elif isinstance(node, (list, tuple)):
        for i, item in enumerate(node):
            yield from head_class_counts(item, f'{key}.{i}')


def check_datasets(work: Work, loaders: Sequence[str]) -> None:
    """Check annotations, files and a sample of the data behind the named loaders, before a run.

    Warnings go to the log, everything to ``data_check.json`` in the work dir.

    Raises:
        InputError: the first error found, naming the file and what to do.
    """
    reports = examine_datasets(work, loaders, memory=True)
    save_reports(work.cfg, reports)
    for report in reports:
        for finding in report.warnings():
            print_log(f'data check: {finding.kind} ({finding.count}): {finding.message}', 'current', logging.WARNING)
        report.raise_first()


def examine_datasets(
    work: Work,
    loaders: Sequence[str],
    sample: int | None = 64,
    progress: Progress | None = None,
    memory: bool = False,
) -> list[Report]:
    """Check the data sets of the named loaders of a config, each once.

    Args:
        work: with the whole config.
        loaders: top-level keys such as ``train_dataloader``; those the config lacks are passed over.
        sample: how many images of each data set are opened; None: all.
        progress: wraps the images as they are opened, given their number.
        memory: what passed before, and has not changed, is not checked again.

    Returns:
        One report for each data set of COCO's kind, of VOC's XML or of label maps in local folders; others are not
        looked into.
    """
    cfg = work.cfg
    counts = dict(head_class_counts(cfg.model, 'model'))
    num_classes = next(iter(counts.values()), None)
    reports: dict[tuple[Any, ...], Report] = {}
    trained: set[tuple[Any, ...]] = set()
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmengine')):
        for loader in loaders:
            for _, dataset in loader_datasets(cfg.get(loader), loader):
                examine = examiner(dataset, loader, work, num_classes)
                # Two loaders often read the same files.
                if not examine:
                    continue
                if (key := (examine.func, str(examine.args))) not in reports:
                    look = partial(remembered, examine) if memory and examine.func is examine_coco else examine
                    reports[key] = look(sample=sample, progress=progress)
                files = tuple(value for value in examine.args if isinstance(value, str))
                if loader == 'train_dataloader':
                    trained.add(files)
                elif files in trained and not dataset.get('indices'):
                    warn_of_training_data(reports[key], loader)
    return list(reports.values())


def warn_of_training_data(report: Report, loader: str) -> None:
    """Say that figures are of data that the model was trained on."""
    report.warning(
        'training_data',
        f'{report.where}: {loader} reads the files of train_dataloader, so its figures are of images that the model '
        'has seen; give it others unless you want that',
    )


def save_reports(cfg: Config, reports: Sequence[Report]) -> Path:
    """Write what a check found to ``data_check.json`` in the work dir."""
    content = {
        'config': cfg.filename,
        'time': datetime.now().astimezone().isoformat(timespec='seconds'),
        'errors': sum(len(report.errors()) for report in reports),
        'warnings': sum(len(report.warnings()) for report in reports),
        'datasets': [report.record() for report in reports],
    }
    return write_json(Path(cfg.work_dir) / 'data_check.json', content)

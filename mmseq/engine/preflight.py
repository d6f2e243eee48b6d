"""What can be wrong between a config and its data, found before training starts."""

import inspect
import logging
import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.fileio import list_from_file
from mmengine.logging import print_log
from mmengine.registry import DefaultScope

from mmseq.datasets.checks import Report, examine_coco, examine_seg
from mmseq.datasets.checks.shared import Progress
from mmseq.datasets.nesting import dataset_class, loader_datasets
from mmseq.errors import InputError
from mmseq.explain.names import unknown_type
from mmseq.explain.work import Work
from mmseq.files import write_json


def check_class_counts(cfg: Config) -> None:
    """All heads of the model predict the same number of classes.

    Raises:
        InputError: they differ.
    """
    counts = dict(head_class_counts(cfg.model, 'model'))
    if len(set(counts.values())) > 1:
        listed = ', '.join(f'{key}={count}' for key, count in counts.items())
        raise InputError(f'config: the heads differ in their number of classes: {listed}; set all to the same')


def head_class_counts(node: Any, key: str) -> Iterator[tuple[str, int]]:
    """Every ``num_classes`` of the model's heads with its key; backbones have classes of their own."""
    if isinstance(node, dict):
        if isinstance(node.get('num_things_classes'), int):
            # Panoptic heads count things and stuff apart.
            things, stuff = node['num_things_classes'], node['num_stuff_classes']
            yield f'{key}.num_things_classes={things} + num_stuff_classes', things + stuff
        if isinstance(weights := (node.get('loss_cls') or {}).get('class_weight'), (list, tuple)):
            # Softmax heads weigh one class more: none of them.
            yield f'{key}.loss_cls.class_weight, its length less one', len(weights) - 1
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
    reports = examine_datasets(work, loaders)
    save_reports(work.cfg, reports)
    for report in reports:
        for finding in report.warnings():
            print_log(f'data check: {finding.kind} ({finding.count}): {finding.message}', 'current', logging.WARNING)
        report.raise_first()


def examine_datasets(
    work: Work, loaders: Sequence[str], sample: int | None = 64, progress: Progress | None = None
) -> list[Report]:
    """Check what is behind the named loaders of a config, each data set once.

    Args:
        work: with the whole config.
        loaders: top-level keys such as ``train_dataloader``; those the config lacks are passed over.
        sample: how many images of each data set are opened; None: all.
        progress: wraps the images as they are opened, given their number.

    Returns:
        One report for each data set of COCO's kind or of label maps in local folders; others are not looked into.
    """
    cfg = work.cfg
    counts = dict(head_class_counts(cfg.model, 'model'))
    num_classes = next(iter(counts.values()), None)
    reports: dict[tuple, Report] = {}
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmengine')):
        for loader in loaders:
            for _, dataset in loader_datasets(cfg.get(loader), loader):
                examine = examiner(dataset, num_classes, work)
                # Two loaders often read the same files.
                if examine and (key := (examine.func, str(examine.args), str(examine.keywords))) not in reports:
                    reports[key] = examine(sample=sample, progress=progress)
    return list(reports.values())


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


def examiner(dataset: dict, num_classes: int | None, work: Work) -> 'partial[Report] | None':
    """The check of one data set, by what its class inherits from; None where there is none for it.

    Raises:
        InputError: its type is not registered.
    """
    cls = dataset_class(dataset)
    if cls is None:
        scope = dataset.get('_scope_') or work.scope
        raise InputError(work.say(unknown_type(dataset['type'], scope, 'dataset', work)))
    bases = {base.__name__ for base in cls.__mro__}
    if not bases & {'CocoDataset', 'BaseSegDataset'} or dataset.get('backend_args'):
        return None
    root = dataset.get('data_root') or ''
    if root and not os.path.isdir(root):
        return partial(absent_root, root)
    classes = class_names(cls, dataset)
    prefix = dataset.get('data_prefix') or {}
    if 'CocoPanopticDataset' in bases:
        # A subclass, whose annotations are of another form: segments, drawn in pictures.
        paths = (dataset['ann_file'], prefix.get('img', ''), prefix.get('seg', ''))
        return partial(examine_panoptic, tuple(os.path.join(root, path) for path in paths))
    ann_file = os.path.join(root, dataset['ann_file']) if dataset.get('ann_file') else ''
    if 'CocoDataset' in bases:
        folder = os.path.join(root, prefix.get('img', ''))
        return partial(examine_coco, ann_file, folder, classes, num_classes, trains_masks(dataset))
    options = {**constructor_defaults(cls), **dataset}
    return partial(
        examine_seg,
        os.path.join(root, prefix.get('img_path', '')),
        os.path.join(root, prefix.get('seg_map_path', '')),
        options['img_suffix'],
        options['seg_map_suffix'],
        num_classes,
        options['reduce_zero_label'],
        options['ignore_index'],
        classes,
        # Upstream takes a folder for no list, too.
        '' if os.path.isdir(ann_file) else ann_file,
    )


def examine_panoptic(paths: Sequence[str], sample: int | None, progress: Progress | None) -> Report:
    """The report of a data set of panoptic segments, of which only the places are looked at."""
    report = Report(paths[0])
    for path in paths:
        if not os.path.exists(path):
            report.error('missing', f'{path}: not there; panoptic training needs it, fetch it', path)
    return report


def absent_root(root: str, sample: int | None, progress: Progress | None) -> Report:
    """The report of a data set whose folder is not there."""
    report = Report(root)
    report.error('missing', f'data root {root}: no such folder; put the data there or set MMSEQ_DATA to its parent')
    return report


def trains_masks(dataset: dict) -> bool:
    """Whether the training pipeline of a data set loads instance masks."""
    steps = [] if dataset.get('test_mode') else dataset.get('pipeline') or []
    return any(step.get('type', '').endswith('LoadAnnotations') and step.get('with_mask') for step in steps)


def class_names(cls: type, dataset: dict) -> list[str] | None:
    """The classes that the config asks for, else the data set's own."""
    classes = (dataset.get('metainfo') or {}).get('classes') or cls.METAINFO.get('classes')
    if isinstance(classes, str):
        return list_from_file(classes)
    return list(classes) if classes else None


def constructor_defaults(cls: type) -> dict[str, Any]:
    """Default arguments of a class and its bases, the nearest first."""
    defaults: dict[str, Any] = {}
    for base in reversed(cls.__mro__[:-1]):
        for name, parameter in inspect.signature(base.__init__).parameters.items():
            if parameter.default is not inspect.Parameter.empty:
                defaults[name] = parameter.default
    return defaults

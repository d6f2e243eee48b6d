"""What can be wrong between a config and its data, found before training starts."""

import inspect
import os
from collections.abc import Iterator, Sequence
from typing import Any

from mmengine.config import Config
from mmengine.fileio import list_from_file
from mmengine.registry import DATASETS, DefaultScope

from mmseq.datasets.checks import check_coco, check_seg
from mmseq.errors import InputError


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


def check_datasets(cfg: Config, loaders: Sequence[str]) -> None:
    """Check annotations, files and a sample of the data behind the named loaders.

    Args:
        cfg: the whole config.
        loaders: top-level keys such as ``train_dataloader``; those the config lacks are passed over.

    Raises:
        InputError: the first thing found, naming the file and what to do. Data sets that are neither COCO-like nor
            label maps in folders are not looked into.
    """
    counts = dict(head_class_counts(cfg.model, 'model'))
    num_classes = next(iter(counts.values()), None)
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmengine')):
        for loader in loaders:
            for dataset in plain_datasets((cfg.get(loader) or {}).get('dataset')):
                check_dataset(dataset, num_classes)


def plain_datasets(dataset: dict | None) -> Iterator[dict]:
    """The data sets inside repeating, concatenating and mixing wrappers."""
    if not dataset:
        return
    inner = dataset.get('datasets') or dataset.get('dataset')
    if inner:
        for item in inner if isinstance(inner, (list, tuple)) else [inner]:
            yield from plain_datasets(item)
    else:
        yield dataset


def check_dataset(dataset: dict, num_classes: int | None) -> None:
    """Check one data set by what its class inherits from."""
    cls = DATASETS.get(f'{dataset["_scope_"]}.{dataset["type"]}' if '_scope_' in dataset else dataset['type'])
    if cls is None:
        raise InputError(f'config: data set type {dataset["type"]!r} is not registered; check its name and imports')
    bases = {base.__name__ for base in cls.__mro__}
    if not bases & {'CocoDataset', 'BaseSegDataset'} or dataset.get('backend_args'):
        return
    root = dataset.get('data_root') or ''
    if root and not os.path.isdir(root):
        raise InputError(f'data root {root}: no such folder; put the data there or set MMSEQ_DATA to its parent')
    classes = class_names(cls, dataset)
    prefix = dataset.get('data_prefix') or {}
    if 'CocoPanopticDataset' in bases:
        # A subclass, whose annotations are of another form: segments, drawn in pictures.
        for path in (dataset['ann_file'], prefix.get('img', ''), prefix.get('seg', '')):
            if not os.path.exists(os.path.join(root, path)):
                raise InputError(f'{os.path.join(root, path)}: not there; panoptic training needs it, fetch it')
        return
    if 'CocoDataset' in bases:
        check_coco(
            os.path.join(root, dataset['ann_file']), os.path.join(root, prefix.get('img', '')), classes, num_classes
        )
        return
    options = {**constructor_defaults(cls), **dataset}
    check_seg(
        os.path.join(root, prefix.get('img_path', '')),
        os.path.join(root, prefix.get('seg_map_path', '')),
        options['img_suffix'],
        options['seg_map_suffix'],
        num_classes,
        options['reduce_zero_label'],
        options['ignore_index'],
        classes,
    )


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

"""Which check fits a data set of a config, and what the config does with it."""

import importlib.util
import os
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from mmengine.config import Config
from mmengine.registry import METRICS, TRANSFORMS

from mmseq.config import read_metainfo
from mmseq.datasets.checks import Report, Use, examine_coco, examine_seg
from mmseq.datasets.checks.coco_file import Naming
from mmseq.datasets.checks.shared import Progress
from mmseq.datasets.checks.voc import examine_voc
from mmseq.datasets.data_root import advice
from mmseq.datasets.nesting import dataset_class
from mmseq.engine.config_classes import as_list, bases, class_of, constructor_defaults
from mmseq.engine.ignored_pixels import head_ignore_index, subset_map
from mmseq.errors import InputError
from mmseq.explain.names import unknown_type
from mmseq.explain.work import Work
from mmseq.nested import walk

if TYPE_CHECKING:
    from mmengine.dataset import BaseDataset

EXAMINED = {'CocoDataset', 'BaseSegDataset', 'XMLDataset'}
# Of COCO's kind, whose files name images in another way.
NAMING: dict[str, Naming] = {'LVISV1Dataset': 'lvis_v1', 'LVISV05Dataset': 'lvis_v0.5'}


def examiner(dataset: dict[str, Any], loader: str, work: Work, num_classes: int | None) -> 'partial[Report] | None':
    """The check of one data set, by what its class inherits from; None where there is none for it.

    Args:
        dataset: its config.
        loader: the key of its data loader.
        work: with the whole config.
        num_classes: of the heads; None if they have none.

    Raises:
        InputError: its type is not registered.
    """
    cls = dataset_class(dataset)
    if cls is None:
        scope = dataset.get('_scope_') or work.scope
        raise InputError(work.say(unknown_type(dataset['type'], scope, 'dataset', work)))
    names = bases(cls)
    if not names & EXAMINED or dataset.get('backend_args'):
        return None
    root = dataset.get('data_root') or ''
    if root and not os.path.isdir(root):
        return partial(absent_root, root, advice(work.cfg, root))
    prefix = dataset.get('data_prefix') or {}
    if 'CocoPanopticDataset' in names:
        # A subclass, whose annotations are of another form: segments, drawn in pictures.
        paths = (dataset['ann_file'], prefix.get('img', ''), prefix.get('seg', ''))
        return partial(examine_panoptic, tuple(os.path.join(root, path) for path in paths))
    ann_file = os.path.join(root, dataset['ann_file']) if dataset.get('ann_file') else ''
    use, classes = use_of(dataset, loader, work.cfg), class_names(cls, dataset)
    if 'CocoDataset' in names:
        images = os.path.join(root, prefix.get('img', ''))
        naming: Naming = next((NAMING[base.__name__] for base in cls.__mro__ if base.__name__ in NAMING), 'coco')
        return partial(examine_coco, ann_file, images, classes, num_classes, use, naming)
    options = {**constructor_defaults(cls), **dataset}
    if 'XMLDataset' in names:
        inner = os.path.join(root, prefix.get('sub_data_root', ''))
        images, xmls = (os.path.join(inner, options[key]) for key in ('img_subdir', 'ann_subdir'))
        return partial(examine_voc, ann_file, images, xmls, classes, num_classes, use.channels)
    ignored = head_ignore_index(work.cfg)
    return partial(
        examine_seg,
        os.path.join(root, prefix.get('img_path', '')),
        os.path.join(root, prefix.get('seg_map_path', '')),
        options['img_suffix'],
        options['seg_map_suffix'],
        num_classes,
        options['reduce_zero_label'],
        options['ignore_index'] if ignored is None else ignored,
        classes,
        # Upstream takes a folder for no list, too.
        '' if os.path.isdir(ann_file) else ann_file,
        subset_map(cls, dataset),
        keeps_eight_bits(dataset),
        use,
    )


def use_of(dataset: dict[str, Any], loader: str, cfg: Config) -> Use:
    """What a config does with a data set."""
    trained = loader == 'train_dataloader' and not dataset.get('test_mode')
    steps = [step for step in walk(dataset.get('pipeline') or []) if 'type' in step]
    loading = [step for step in steps if str(step['type']).endswith('LoadAnnotations')]
    metrics = [] if trained else as_list(cfg.get(loader.replace('_dataloader', '_evaluator')))
    coco = [metric for metric in metrics if is_coco_metric(metric)]
    filters = dataset.get('filter_cfg') or {}
    return Use(
        trained=trained,
        coco_metric=bool(coco),
        masks=any(step.get('with_mask') for step in loading)
        or any('segm' in as_list(metric.get('metric')) for metric in coco),
        polygons=any(step.get('poly2mask') is False for step in loading),
        labelled=not unlabelled(dataset, metrics, loading),
        min_size=filters.get('min_size', 0),
        filter_empty=bool(filters.get('filter_empty_gt')),
        channels=any(str(step['type']).endswith('LoadMultispectralImage') for step in steps),
    )


def is_coco_metric(metric: dict[str, Any]) -> bool:
    """Whether annotations go through pycocotools; LVIS has an evaluation of its own."""
    names = bases(class_of(METRICS, metric))
    return 'CocoMetric' in names and 'LVISMetric' not in names and not metric.get('format_only')


def unlabelled(dataset: dict[str, Any], metrics: Sequence[dict[str, Any]], loading: Sequence[dict[str, Any]]) -> bool:
    """Whether predictions are only written, or a segmentor's data has no folder of labels and nothing loads them."""
    written = bool(metrics) and all(metric.get('format_only') for metric in metrics)
    prefix = dataset.get('data_prefix') or {}
    return written or ('img_path' in prefix and not prefix.get('seg_map_path') and not loading)


def keeps_eight_bits(dataset: dict[str, Any]) -> bool:
    """Whether labels are loaded by mmseg's own transform, which keeps 8 bits."""
    loaders = [class_of(TRANSFORMS, step) for step in walk(dataset.get('pipeline') or []) if 'type' in step]
    return any('LoadAnnotations' in bases(cls) and cls.__module__.startswith('mmseg.') for cls in loaders)


def examine_panoptic(paths: Sequence[str], sample: int | None, progress: Progress | None) -> Report:
    """The report of a data set of panoptic segments, of which only the places are looked at."""
    report = Report(paths[0])
    for path in paths:
        if not os.path.exists(path):
            report.error('missing', f'{path}: not there; panoptic training needs it, fetch it', path)
    return report


def absent_root(root: str, what: str, sample: int | None, progress: Progress | None) -> Report:
    """The report of a data set whose folder is not there."""
    report = Report(root)
    report.error('missing', absent_message(root, what))
    return report


def absent_message(root: str, what: str) -> str:
    """The line about a data root that is not there, and what to do."""
    return f'data root {root}: no such folder; {what}'


def class_names(cls: 'type[BaseDataset]', dataset: dict[str, Any]) -> list[str] | None:
    """The classes that the config asks for, else the data set's own."""
    classes = read_metainfo(dataset.get('metainfo')).get('classes') or cls.METAINFO.get('classes')
    return list(classes) if classes else None


def check_places(key: str, dataset: dict[str, Any], cfg: Any) -> None:
    """The folders and the annotation file that a data set names are there.

    Raises:
        InputError: one is not, naming its key, or the file of its class names is not there or has an empty line; the
            package that LVIS needs is not installed.
    """
    cls = dataset_class(dataset)
    if 'BaseDataset' not in bases(cls):
        return
    read_metainfo(dataset.get('metainfo'))
    # Upstream says so too, after a minute in which the data are checked, with the address of a repository.
    if cls is not None and 'LVISV05Dataset' in bases(cls) and importlib.util.find_spec('lvis') is None:
        raise InputError(f"{key}: {cls.__name__} needs the package lvis: pip install 'mmseq[lvis]'")
    if dataset.get('backend_args'):
        return
    root = dataset.get('data_root') or ''
    if root and '://' not in root and not os.path.isdir(root):
        raise InputError(absent_message(root, advice(cfg, root)))
    prefix = dataset.get('data_prefix') or {}
    named = [('ann_file', dataset.get('ann_file'))]
    named += [(f'data_prefix.{name}', path) for name, path in prefix.items()] if isinstance(prefix, dict) else []
    for name, path in named:
        if isinstance(path, str) and path and '://' not in root + path and not os.path.exists(os.path.join(root, path)):
            where = os.path.join(root, path)
            raise InputError(f'{key}.{name}: {where} is not there; correct it or data_root, or fetch the data set')

"""Segmentors: one value marks the pixels to ignore, in the heads, in all that writes it, and in the metric."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from mmengine.config import Config
from mmengine.registry import DATASETS, METRICS, MODELS, TRANSFORMS, DefaultScope

from mmseq.datasets.nesting import dataset_class, loader_datasets
from mmseq.engine.config_classes import arguments, as_list, bases, class_of
from mmseq.errors import InputError
from mmseq.nested import walk_named

if TYPE_CHECKING:
    from mmengine.dataset import BaseDataset

# What upstream writes over labels that it takes away.
TAKEN_AWAY = 255
HEADS = ('decode_head', 'auxiliary_head')


def check_ignored_pixels(cfg: Config, loaders: Sequence[str]) -> None:
    """Heads, pipelines and metrics of a segmentor agree on the value to ignore, and its heads tell classes apart.

    Args:
        cfg: the whole config.
        loaders: top-level keys of the data that the run reads.

    Raises:
        InputError: values differ, or softmax over a single class.
    """
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmengine')):
        heads = list(segmentation_heads(cfg.model))
        for key, head in heads:
            check_two_classes(key, head)
        wanted = next((arguments(MODELS, head).get('ignore_index') for _, head in heads), None)
        if wanted is None:
            return
        other = [f'{key}={value}' for key, value in ignored_values(cfg, heads, loaders) if value != wanted]
    if other:
        key = heads[0][0]
        raise InputError(
            f'config: pixels to ignore are {key}.ignore_index={wanted}, but {", ".join(dict.fromkeys(other))}; set all '
            f'to one value, {TAKEN_AWAY} unless labels use it'
        )


def check_zero_label(cfg: Config, loaders: Sequence[str]) -> None:
    """A data set and the steps that load its labels agree on whether 0 is no class, which upstream asserts in a worker.

    Raises:
        InputError: they differ.
    """
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmengine')):
        for loader in loaders:
            for key, dataset in loader_datasets(cfg.get(loader), loader):
                wanted = arguments(DATASETS, dataset).get('reduce_zero_label')
                for name, step in walk_named(dataset.get('pipeline') or [], f'{key}.pipeline'):
                    given = step.get('reduce_zero_label')
                    if None not in (wanted, given) and given != wanted:
                        raise InputError(
                            f'config: {key}.reduce_zero_label={wanted}, but {name}.reduce_zero_label={given}; set both '
                            'to True if 0 in the label maps is no class, else to False'
                        )


def head_ignore_index(cfg: Config) -> int | None:
    """The value that the heads of a segmentor ignore; None for other models."""
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmengine')):
        return next((arguments(MODELS, head).get('ignore_index') for _, head in segmentation_heads(cfg.model)), None)


def segmentation_heads(model: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The heads of a segmentor with their dotted keys, the main one first."""
    # Test-time augmentation wraps the model.
    model = model.get('module', model)
    for name in HEADS:
        yield from numbered(f'model.{name}', model.get(name))


def numbered(key: str, found: Any) -> Iterator[tuple[str, Any]]:
    """What a config gives as one or as several, each with its dotted key."""
    for i, item in enumerate(as_list(found)):
        yield f'{key}.{i}' if isinstance(found, (list, tuple)) else key, item


def check_two_classes(key: str, head: dict[str, Any]) -> None:
    """Raises InputError for softmax over one class: its loss is 0 for every prediction."""
    if head.get('num_classes') == 1 and 'BaseDecodeHead' in bases(class_of(MODELS, head)):
        raise InputError(
            f'config: {key}.num_classes=1: a single class cannot be told from anything; count the background, '
            'num_classes=2, and add out_channels=1 with use_sigmoid=True in loss_decode for one map of probabilities'
        )


def ignored_values(
    cfg: Config, heads: Sequence[tuple[str, dict[str, Any]]], loaders: Sequence[str]
) -> Iterator[tuple[str, Any]]:
    """Every value that means ignored pixels, with its dotted key."""
    for key, head in heads:
        yield f'{key}.ignore_index', arguments(MODELS, head).get('ignore_index')
        for name, loss in numbered(f'{key}.loss_decode', head.get('loss_decode')):
            if (value := arguments(MODELS, loss).get('ignore_index')) is not None:
                yield f'{name}.ignore_index', value
    if 'train_dataloader' in loaders and (preprocessor := cfg.model.get('data_preprocessor')):
        yield 'model.data_preprocessor.seg_pad_val', arguments(MODELS, preprocessor).get('seg_pad_val', TAKEN_AWAY)
    for loader in loaders:
        for key, dataset in loader_datasets(cfg.get(loader), loader):
            yield from written_by(key, dataset)
        name = loader.replace('_dataloader', '_evaluator')
        for key, metric in numbered(name, cfg.get(name)):
            if (value := arguments(METRICS, metric).get('ignore_index')) is not None:
                yield f'{key}.ignore_index', value


def written_by(key: str, dataset: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The values that a data set and the transforms of its pipeline write or look for."""
    if 'ignore_index' in dataset:
        yield f'{key}.ignore_index', dataset['ignore_index']
    if dataset.get('reduce_zero_label'):
        yield f'{key}.reduce_zero_label, which writes', TAKEN_AWAY
    if subset_map(dataset_class(dataset), dataset):
        yield f'{key}.metainfo.classes, a subset, which writes', TAKEN_AWAY
    for name, step in walk_named(dataset.get('pipeline') or [], f'{key}.pipeline'):
        if 'type' in step:
            yield from written_by_transform(name, step)


def written_by_transform(key: str, step: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The same of one transform."""
    found = arguments(TRANSFORMS, step)
    if 'seg_pad_val' in found:
        yield f'{key}.seg_pad_val', found['seg_pad_val']
    # A crop asks for it only where it draws again until no class fills it.
    if 'ignore_index' in found and found.get('cat_max_ratio', 0) < 1 and 'reduce_zero_label' not in found:
        yield f'{key}.ignore_index', found['ignore_index']
    if 'Pad' in bases(class_of(TRANSFORMS, step)):
        padding = found.get('pad_val')
        yield f'{key}.pad_val.seg', padding.get('seg', TAKEN_AWAY) if isinstance(padding, dict) else TAKEN_AWAY


def subset_map(cls: 'type[BaseDataset] | None', dataset: dict[str, Any]) -> dict[int, int] | None:
    """How upstream renumbers labels where a config asks for some of the classes of a data set; None if it does not.

    Raises:
        InputError: it asks for others.
    """
    own = getattr(cls, 'METAINFO', {}).get('classes')
    classes = (dataset.get('metainfo') or {}).get('classes')
    if cls is None or 'BaseSegDataset' not in bases(cls) or not own or not isinstance(classes, (list, tuple)):
        return None
    if unknown := [name for name in classes if name not in own]:
        raise InputError(
            f'config: metainfo.classes has {unknown[0]!r}, which is no class of {cls.__name__}; use its names, or '
            'type=BaseSegDataset for classes of your own'
        )
    return cls.get_label_map(classes)

"""Data sets within data sets: those that repeat, join, balance, mix or guard others, in a config and built."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from mmengine.registry import DATASETS

if TYPE_CHECKING:
    from mmengine.dataset import BaseDataset

# How upstream's wrappers name what they wrap: one data set, or a list of them.
INNER = ('dataset', 'datasets')


def innermost_configs(dataset: Any, key: str = 'dataset') -> Iterator[tuple[str, dict[str, Any]]]:
    """The configs of the data sets that hold files, however many wrappers are around them.

    Args:
        dataset: a config, or a list of them; None and what else is no config gives nothing.
        key: its dotted key.

    Yields:
        The dotted key of each and its config itself, not a copy.
    """
    if isinstance(dataset, (list, tuple)):
        for i, item in enumerate(dataset):
            yield from innermost_configs(item, f'{key}.{i}')
    elif dataset and isinstance(dataset, dict):
        inner = [name for name in INNER if isinstance(dataset.get(name), (dict, list, tuple))]
        if not inner:
            yield key, dataset
        for name in inner:
            yield from innermost_configs(dataset[name], f'{key}.{name}')


def loader_datasets(loader: dict[str, Any] | None, key: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The same of a data loader's config, ``cfg.train_dataloader`` for one, whose dotted key is given."""
    yield from innermost_configs((loader or {}).get('dataset'), f'{key}.dataset')


def built_datasets(dataset: Any) -> Iterator[Any]:
    """A built data set and every one within it, the outer ones first; those that hold files have none within them."""
    yield dataset
    for name in INNER:
        inner = getattr(dataset, name, None)
        for item in inner if isinstance(inner, (list, tuple)) else [inner]:
            # Data sets may have attributes of these names that are none, such as a text.
            if hasattr(item, '__getitem__') and not isinstance(item, (str, bytes, dict)):
                yield from built_datasets(item)


def dataset_class(dataset: dict[str, Any]) -> 'type[BaseDataset] | None':
    """The class that a data set's config asks for, as its builder finds it; None if nothing is registered.

    Without ``_scope_`` the default scope of the moment counts, as upstream's own configs expect.
    """
    wanted = dataset['type']
    if not isinstance(wanted, str):
        return wanted
    with DATASETS.switch_scope_and_registry(dataset.get('_scope_')) as registry:
        return registry.get(wanted)

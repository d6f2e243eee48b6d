"""Data sets are found within any wrappers, in configs and built."""

from types import SimpleNamespace

import pytest
from mmengine.registry import DefaultScope
from torch.utils.data import Dataset

from mmseq.datasets.nesting import built_datasets, dataset_class, innermost_configs, loader_datasets


def keys(config: object) -> list[str]:
    return [key for key, _ in innermost_configs(config)]


@pytest.mark.parametrize(
    'config, expected',
    [
        (dict(type='A'), ['dataset']),
        (dict(type='RepeatDataset', times=2, dataset=dict(type='A')), ['dataset.dataset']),
        (dict(type='ClassBalancedDataset', oversample_thr=1e-3, dataset=dict(type='A')), ['dataset.dataset']),
        (dict(type='mmseq.TolerantDataset', dataset=dict(type='A'), record_dir='x'), ['dataset.dataset']),
        (
            dict(
                type='MultiImageMixDataset',
                pipeline=[dict(type='Mosaic')],
                dataset=dict(
                    type='ConcatDataset', datasets=[dict(type='A'), dict(type='RepeatDataset', dataset=dict(type='B'))]
                ),
            ),
            ['dataset.dataset.datasets.0', 'dataset.dataset.datasets.1.dataset'],
        ),
        # A list without a wrapper, one in the place of a single data set, and both names at once.
        ([dict(type='A'), dict(type='B')], ['dataset.0', 'dataset.1']),
        (dict(type='W', dataset=[dict(type='A'), dict(type='B')]), ['dataset.dataset.0', 'dataset.dataset.1']),
        (
            dict(type='W', dataset=dict(type='A'), datasets=[dict(type='B')]),
            ['dataset.dataset', 'dataset.datasets.0'],
        ),
        # An argument of that name that is no data set.
        (dict(type='A', dataset='coco'), ['dataset']),
        (None, []),
        ({}, []),
    ],
)
def test_configs(config: object, expected: list[str]) -> None:
    assert keys(config) == expected


def test_what_is_found_is_the_config_itself() -> None:
    loader = dict(dataset=dict(type='RepeatDataset', dataset=dict(type='A')))
    ((key, found),) = loader_datasets(loader, 'val_dataloader')
    assert key == 'val_dataloader.dataset.dataset'
    assert found is loader['dataset']['dataset']
    assert list(loader_datasets(None, 'val_dataloader')) == []


class Plain(Dataset):
    dataset = 'coco'

    def __getitem__(self, index: int) -> int:
        return index


def test_built() -> None:
    one, two = Plain(), Plain()
    repeated = SimpleNamespace(dataset=two, __getitem__=None)
    joined = SimpleNamespace(datasets=[one, repeated], __getitem__=None)
    outer = SimpleNamespace(dataset=joined)
    assert list(built_datasets(outer)) == [outer, joined, one, repeated, two]


def test_the_class_is_that_of_the_builder() -> None:
    from mmdet.datasets import CocoDataset
    from mmseg.datasets import ADE20KDataset

    with DefaultScope.overwrite_default_scope('mmdet'):
        assert dataset_class(dict(type='CocoDataset')) is CocoDataset
        assert dataset_class(dict(type='ADE20KDataset', _scope_='mmseg')) is ADE20KDataset
        assert dataset_class(dict(type='mmseg.ADE20KDataset')) is ADE20KDataset
        assert dataset_class(dict(type=Plain)) is Plain
        assert dataset_class(dict(type='NoSuchDataset')) is None

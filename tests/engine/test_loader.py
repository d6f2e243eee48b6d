"""Batches with numbers, and samples whose random numbers follow from them."""

import copy
import pickle
import random

import numpy as np
import torch
from torch.utils.data import BatchSampler, DataLoader, Dataset, SequentialSampler

from mmseq.engine.loader import NumberedBatch, NumberedLoader, SeededDataset, derive_seed, seed_all


class Augmented(Dataset):
    """Eight vectors, each shifted by numbers from all three generators."""

    def __init__(self) -> None:
        self.pipeline = 'first'

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        noise = np.random.rand(4) + random.random()
        return {'inputs': torch.full((4,), index / 8) + torch.from_numpy(noise).float() + torch.rand(4)}


class Whole(Augmented):
    """Loads a batch at once."""

    def __getitems__(self, indices: list[int]) -> list:
        return [self[index] for index in indices]


def test_samples_are_a_function_of_seed_number_and_index() -> None:
    seeded = SeededDataset(Augmented(), seed=1)

    def batch(number: int, *indices: int) -> torch.Tensor:
        numbered = NumberedBatch(indices)
        numbered.number = number
        return torch.stack([sample['inputs'] for sample in seeded.__getitems__(numbered)])

    first = batch(7, 2, 5)
    # one process with two samples, or two with one each
    assert torch.equal(first, torch.cat([batch(7, 2), batch(7, 5)]))
    assert not torch.equal(first, batch(8, 2, 5))
    seeded.seed = 2
    assert not torch.equal(first, batch(7, 2, 5))


def test_a_data_set_that_loads_batches_itself_is_seeded_too() -> None:
    seeded = SeededDataset(Whole(), seed=1)
    batch = NumberedBatch([2, 5])
    first, second = seeded.__getitems__(batch), seeded.__getitems__(batch)
    assert torch.equal(first[1]['inputs'], second[1]['inputs'])


def test_everything_else_is_the_data_set_s_own() -> None:
    """Hooks of upstream ask a loader's data set for much, and exchange its pipeline in the middle of a training."""
    dataset = Augmented()
    for seeded in (SeededDataset(dataset, seed=1), copy.copy(SeededDataset(dataset, seed=1))):
        seeded.pipeline = 'second'
        assert dataset.pipeline == seeded.pipeline == 'second'
        assert len(seeded) == 8
        assert not hasattr(seeded, 'metainfo')
    assert pickle.loads(pickle.dumps(seeded)).pipeline == 'second'


def test_a_loader_leaves_the_data_set_as_it_is() -> None:
    """The data set may be another loader's, too."""
    dataset = Augmented()
    loader = DataLoader(dataset, batch_sampler=BatchSampler(SequentialSampler(dataset), 2, False))
    first, second = (next(iter(NumberedLoader(loader, True, seed=3)))['inputs'] for _ in range(2))
    assert torch.equal(first, second)
    assert not hasattr(dataset, '__getitems__')
    assert not torch.equal(next(iter(NumberedLoader(loader, True, seed=4)))['inputs'], first)


def test_seeds_are_stable_and_distinct() -> None:
    assert derive_seed('iteration', 0, 0, 0) == 5301202772552679360
    keys = [('iteration', 1, 23), ('iteration', 12, 3), ('epoch', 1, 23), ('iteration', 1, 2, 3)]
    assert len({derive_seed(*key) for key in keys}) == len(keys)
    assert all(0 <= derive_seed(*key) < 2**63 for key in keys)
    seed_all(derive_seed('iteration', 1))
    first = (random.random(), np.random.rand(), torch.rand(()).item())
    seed_all(derive_seed('iteration', 1))
    assert first == (random.random(), np.random.rand(), torch.rand(()).item())

"""Annotations are held once on each machine, and nothing else of their files."""

import logging
import mmap
import os
import pickle
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import BaseLoop, Runner

from mmseq.compat.allocator import give_back
from mmseq.datasets.nesting import built_datasets
from mmseq.files import machine
from mmseq.registry import HOOKS

# Bytes that are compared at once: a comparison takes as much memory again.
STEP = 2**20


@HOOKS.register_module()
class SharedAnnotationsHook(Hook):
    """Lets the processes of one machine hold the annotations together, in place of a copy for each.

    mmengine's data sets keep all annotations in one array of bytes, which the workers of a loader share with the
    process that starts them. Here the first process of a machine puts its arrays into files of memory that have no
    name, and all of them map these: they are gone with the last process, whatever ends it. A process whose array
    differs in a byte keeps its own. Other systems than Linux have no such files; there each process keeps a copy.

    In each process what reading the files has left is freed before, several times as much (:func:`let_go`).
    """

    # Before hooks that load samples.
    priority = 'HIGHEST'

    def before_run(self, runner: Runner) -> None:
        """Free and share what all data sets of the run hold; there is nothing to share where there is one process."""
        loops = [getattr(runner, f'_{name}_loop') for name in ('train', 'val', 'test')]
        datasets = serialized([loop.dataloader.dataset for loop in loops if isinstance(loop, BaseLoop)])
        let_go(datasets)
        if get_world_size() > 1:
            share(datasets)


def serialized(datasets: Sequence[Any]) -> list[BaseDataset]:
    """The data sets in these, each once, that hold their annotations as bytes."""
    every = {id(inner): inner for dataset in datasets for inner in built_datasets(dataset)}.values()
    return [one for one in every if isinstance(one, BaseDataset) and len(getattr(one, 'data_bytes', ()))]


def let_go(datasets: Sequence[BaseDataset]) -> None:
    """Free what data sets have read and no longer need.

    mmdet's keep the images of each category: numbers that the reader of the file has made, spread over all the memory
    that it took. None of that can be given back while they are there, so they are made anew.
    """
    for dataset in datasets:
        if hasattr(dataset, 'cat_img_map'):
            # Not a deep copy, which has the same numbers; what is read here was written here.
            dataset.cat_img_map = pickle.loads(pickle.dumps(dataset.cat_img_map))  # noqa: S301
    give_back()


def share(datasets: Sequence[BaseDataset]) -> None:
    """Replace the bytes of data sets by those of the first process of this machine, if they are equal.

    Args:
        datasets: of this process; every process of the run has to call this.
    """
    place = machine() if hasattr(os, 'memfd_create') else f'process {get_rank()}'
    places = all_gather_object(place)
    lender = places.index(place)
    lends = get_rank() == lender and places.count(place) > 1
    files = [lent(dataset.data_bytes) for dataset in datasets] if lends else []
    process, numbers = all_gather_object((os.getpid(), files))[lender]
    for dataset, number in zip(datasets, numbers):
        take(dataset, f'/proc/{process}/fd/{number}')
    # The files stay open until everybody has opened them.
    all_gather_object(None)
    for number in files:
        os.close(number)


def lent(content: np.ndarray) -> int:
    """The descriptor of a new file of memory with these bytes."""
    number = os.memfd_create('mmseq-annotations')
    with os.fdopen(number, 'wb', closefd=False) as file:
        file.write(content.data)
    return number


def take(dataset: BaseDataset, path: str) -> None:
    """Let a data set read its annotations from a file, if that holds the same."""
    try:
        with open(path, 'rb') as file:
            content = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
    except OSError as error:
        said = f'annotations are not shared with process {path.split("/")[2]} of this machine: {error.strerror}'
        print_log(said, 'current', logging.WARNING)
        return
    if equal(content, dataset.data_bytes):
        dataset.data_bytes = content


def equal(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two arrays hold the same bytes."""
    steps = range(0, len(one), STEP)
    return len(one) == len(other) and all(np.array_equal(one[i : i + STEP], other[i : i + STEP]) for i in steps)

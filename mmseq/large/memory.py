"""Whether a whole image fits into the machine's memory, asked before the system ends the process.

A GPU refuses what it has no room for, and the error says so. The memory of a CPU is promised to all and given when it
is touched; whoever touches too much is killed without a word. So a large image is first predicted in two small sizes.
What a pass takes grows linearly with the pixels in all our backbones and in most others; attention over the whole image
takes more than the estimate.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from math import ceil, sqrt
from pathlib import Path
from typing import Any

import torch

from mmseq.compat.allocator import available, give_back, keep_memory, release_memory, resident

# Pixels of an image from which it is looked at, and of the small sizes, the smaller one first.
LARGE = 4 * 2**20
TRIED = (2**18, 2**20)
# Where the smaller size takes less than this share of its pixels' share, the heap had room for it that could not be
# given back, and none for the larger one. That says nothing, and an image that may fit is not refused.
UNSEEN = 0.125

Step = Callable[[dict[str, Any]], object]


class Room:
    """The memory that a model's ``test_step`` takes, and what there is.

    Args:
        step: the ``test_step``.
    """

    def __init__(self, step: Step) -> None:
        self._step = step
        self._needed: dict[tuple[int, ...], float] = {}
        self._before = 0

    def check(self, samples: Sequence[Mapping[str, Any]], collate: Callable[[Sequence[Any]], dict[str, Any]]) -> None:
        """Refuse images of one size that together need more memory than there is.

        Args:
            samples: ``inputs`` (C, H, W) and ``data_samples`` of each.
            collate: makes of some of them what ``test_step`` takes.

        Raises:
            MemoryError: with the estimate.
        """
        first = samples[0]
        if pixels_of(first) < LARGE or not sys.platform.startswith('linux'):
            return
        shape = (*first['inputs'].shape[1:], *first['data_samples'].ori_shape[:2])
        if shape not in self._needed:
            self._needed[shape] = self._estimate(first, collate)
        needed = self._needed[shape] * len(samples)
        # What this process holds by now is free for the next image.
        free = available() + max(0, resident('VmRSS') - self._before)
        if needed > free:
            height, width = shape[:2]
            raise MemoryError(
                f'Unable to allocate {needed / 2**30:.1f} GiB, the estimate for {len(samples)} x {width} x {height} px '
                f'({free / 2**30:.1f} GiB are free); tiles need less: --tiles 1024, in Python tiles=1024'
            )

    def _estimate(self, sample: Mapping[str, Any], collate: Callable[[Sequence[Any]], dict[str, Any]]) -> float:
        """Bytes that one image takes; 0 if the heap hides them."""
        kept = release_memory()
        small = [shrunk(sample, size) for size in TRIED]
        # Once for what a first pass makes for good.
        self._run(collate([small[0]]))
        self._before = resident('VmRSS')
        low, high = (self._run(collate([one])) for one in small)
        if kept:
            keep_memory()
        few, many = (pixels_of(one) for one in small)
        if low * many < UNSEEN * high * few:
            return 0.0
        slope = max(0.0, (high - low) / (many - few))
        return high + slope * (pixels_of(sample) - many)

    def _run(self, data: dict[str, Any]) -> int:
        """Bytes that a pass takes beyond what stood before it."""
        # What an earlier pass has left in the heap would be taken again, and not be counted.
        give_back()
        # Resets the peak that the kernel keeps (proc(5), clear_refs).
        Path('/proc/self/clear_refs').write_text('5')
        before = resident('VmRSS')
        with torch.no_grad():
            self._step(data)
        return resident('VmHWM') - before


def pixels_of(sample: Mapping[str, Any]) -> int:
    """Of the image as the model sees it, or of the original one, which masks and labels have the size of."""
    height, width = sample['inputs'].shape[1:]
    original = sample['data_samples'].ori_shape[:2]
    return max(height * width, original[0] * original[1])


def shrunk(sample: Mapping[str, Any], pixels: int) -> dict[str, Any]:
    """A sample of about so many pixels."""
    step = max(1, ceil(sqrt(pixels_of(sample) / pixels)))
    inputs, meta = sample['inputs'][:, ::step, ::step].contiguous(), deepcopy(sample['data_samples'])
    height, width = inputs.shape[1:]
    high, wide = (max(1, side // step) for side in meta.ori_shape[:2])
    meta.set_metainfo(
        dict(img_shape=(height, width), ori_shape=(high, wide), scale_factor=(width / wide, height / high))
    )
    return dict(inputs=inputs, data_samples=meta)

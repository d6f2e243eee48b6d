"""Labels from overlapping windows, without ever holding the logits of the whole picture.

Shapes: C classes; a picture of H x W pixels; windows whose logits have a resolution (h, w) of their own.

The picture is cut along the edges of the windows. Once a window is there, so are all that overlap the cell between its
own upper left corner and its successors', and the labels of that cell follow. What no later cell needs is dropped.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

TILE = 2**20
DEVICE_TILE = 2**25
"""Logits that are enlarged and averaged at a time: on a CPU what its caches hold, elsewhere what keeps it busy."""


@dataclass(frozen=True)
class Frame:
    """Where the picture lies in what the model sees, and the size of the labels.

    Args:
        height: of what the model sees, padding included.
        width: see height.
        rows: first row of the picture in it, and the one after its last.
        cols: see rows.
        size: height and width of the labels; empty for those of the picture.
    """

    height: int
    width: int
    rows: tuple[int, int]
    cols: tuple[int, int]
    size: tuple[int, ...] = ()


@dataclass
class Taps:
    """Linear interpolation on one axis: output k is (1 - weight_k) x input[low_k] + weight_k x input[high_k].

    They lie in main memory, since what is computed next depends on them: no other device has to be waited for.
    """

    low: Tensor
    high: Tensor
    weight: Tensor

    def __getitem__(self, part: slice) -> 'Taps':
        return Taps(self.low[part], self.high[part], self.weight[part])

    def apply(self, x: Tensor, axis: int, first: int = 0) -> Tensor:
        """Interpolate ``x``, whose place 0 on the axis is the input's ``first``."""
        low = x.index_select(axis, (self.low - first).to(x.device))
        high = x.index_select(axis, (self.high - first).to(x.device))
        weight = self.weight.to(x.device, x.dtype)
        return low.lerp_(high, weight[:, None] if axis == x.dim() - 2 else weight)


def taps(size_in: int, size_out: int, align_corners: bool) -> Taps:
    """The taps with which torch's bilinear interpolation enlarges ``size_in`` values to ``size_out``."""
    places = torch.arange(size_out, dtype=torch.float64)
    if align_corners:
        places *= (size_in - 1) / max(size_out - 1, 1)
    else:
        places = ((places + 0.5) * (size_in / size_out) - 0.5).clamp_(min=0)
    low = places.floor().long().clamp_(max=size_in - 1)
    return Taps(low, (low + 1).clamp_(max=size_in - 1), places - low)


@dataclass
class Window:
    """The logits (C, h, w) of the pixels from (top, left) on; rows above ``first`` of the h were dropped."""

    logits: Tensor
    top: int
    left: int
    rows: Taps
    cols: Taps
    first: int = 0

    @property
    def bottom(self) -> int:
        return self.top + len(self.rows.low)

    @property
    def right(self) -> int:
        return self.left + len(self.cols.low)

    def add_to(self, total: Tensor, count: Tensor, top: int, left: int) -> None:
        """Add to the logits (C, R, S) of the pixels from (top, left) on, and to how many windows saw them (R, S)."""
        y0, y1 = max(self.top, top), min(self.bottom, top + total.shape[1])
        x0, x1 = max(self.left, left), min(self.right, left + total.shape[2])
        if y0 >= y1 or x0 >= x1:
            return
        rows = self.rows[y0 - self.top : y1 - self.top].apply(self.logits, 1, self.first)
        part = self.cols[x0 - self.left : x1 - self.left].apply(rows, 2)
        total[:, y0 - top : y1 - top, x0 - left : x1 - left] += part
        count[y0 - top : y1 - top, x0 - left : x1 - left] += 1

    def drop_above(self, row: int) -> bool:
        """Forget what lies above a row of the picture; False if nothing is left."""
        if row >= self.bottom:
            return False
        needed = int(self.rows.low[max(row - self.top, 0)])
        if needed > self.first:
            # A copy, so that the rest can be freed.
            self.logits = self.logits[:, needed - self.first :].clone()
            self.first = needed
        return True


def starts(size: int, crop: int, stride: int) -> list[int]:
    """First pixels of the windows on one axis; the last window ends with the picture."""
    count = max(size - crop + stride - 1, 0) // stride + 1
    return [max(min(i * stride + crop, size) - crop, 0) for i in range(count)]


def finished(ends: Sequence[int], high: Tensor, low: Tensor, last: int) -> list[tuple[int, int]]:
    """For each window on one axis: outputs that are settled once it is there, and the first input needed after.

    Args:
        ends: the first input that later windows touch, per window.
        high: the last input of each output.
        low: the first input of each output.
        last: the number of inputs.
    """
    done = [int(torch.searchsorted(high, end)) for end in ends]
    return [(k, int(low[k]) if k < len(low) else last) for k in done]


def stitch_labels(
    logits_of: Callable[[int, int, int, int], Tensor],
    frame: Frame,
    crop: Sequence[int],
    stride: Sequence[int],
    align_corners: bool,
    threshold: float | None = None,
) -> Tensor:
    """Arg-max of the logits averaged over windows and resized to the frame's size.

    Args:
        logits_of: gives the logits (C, h, w) of the window at (y, x, height, width); h and w are free.
        frame: the picture.
        crop: height and width of the windows; smaller pictures are one window.
        stride: from one window to the next.
        align_corners: as torch's interpolation takes it.
        threshold: for C = 1, the probability above which the label is 1.

    Returns:
        (H, W) in the smallest integers that hold the classes.
    """
    ys, xs = starts(frame.height, crop[0], stride[0]), starts(frame.width, crop[1], stride[1])
    size = frame.size or (frame.rows[1] - frame.rows[0], frame.cols[1] - frame.cols[0])
    windows: list[Window] = []
    labels = None
    row = 0
    for i, y in enumerate(ys):
        col = 0
        for j, x in enumerate(xs):
            height, width = min(crop[0], frame.height), min(crop[1], frame.width)
            logits = logits_of(y, x, height, width)
            if labels is None:
                grid = [_shifted(taps(b - a, n, align_corners), a) for (a, b), n in zip((frame.rows, frame.cols), size)]
                rows = finished([*ys[1:], frame.height], grid[0].high, grid[0].low, frame.height)
                cols = finished([*xs[1:], frame.width], grid[1].high, grid[1].low, frame.width)
                labels = torch.empty(size, dtype=label_type(logits.shape[0]), device=logits.device)
            down, across = (taps(n, m, align_corners) for n, m in zip(logits.shape[1:], (height, width)))
            windows.append(Window(logits, y, x, down, across))
            (row_end, next_row), (col_end, next_col) = rows[i], cols[j]
            _fill(labels, windows, grid, slice(row, row_end), slice(col, col_end), threshold)
            col = col_end
            windows = [w for w in windows if w.right > next_col or w.drop_above(next_row)]
        row = row_end
    # There is one window at least.
    assert labels is not None
    return labels


def label_type(classes: int) -> torch.dtype:
    """The smallest integers for so many classes; few of torch's functions take unsigned ones of 16 bits."""
    return next((kind for kind in (torch.uint8, torch.int16) if classes <= torch.iinfo(kind).max + 1), torch.int32)


def _shifted(grid: Taps, by: int) -> Taps:
    return Taps(grid.low + by, grid.high + by, grid.weight)


def _fill(
    labels: Tensor, windows: list[Window], grid: list[Taps], rows: slice, cols: slice, threshold: float | None
) -> None:
    """Write the labels of a cell, some rows at a time."""
    if rows.start >= rows.stop or cols.start >= cols.stop:
        return
    across = grid[1][cols]
    left, right = int(across.low[0]), int(across.high[-1]) + 1
    classes = windows[0].logits.shape[0]
    shrink = len(grid[0].low) / (int(grid[0].high[-1]) + 1)
    tile = TILE if labels.device.type == 'cpu' else DEVICE_TILE
    step = max(1, math.floor(tile / (classes * (right - left)) * min(shrink, 1)))
    for start in range(rows.start, rows.stop, step):
        part = slice(start, min(start + step, rows.stop))
        down = grid[0][part]
        top, bottom = int(down.low[0]), int(down.high[-1]) + 1
        total = windows[0].logits.new_zeros(classes, bottom - top, right - left)
        count = total.new_zeros(total.shape[1:])
        for window in windows:
            window.add_to(total, count, top, left)
        total /= count
        if total.shape[1:] != (part.stop - part.start, cols.stop - cols.start) or down.weight.any():
            total = across.apply(down.apply(total, 1, top), 2, left)
        labels[part, cols] = (total[0].sigmoid() > threshold) if threshold is not None else total.argmax(0)

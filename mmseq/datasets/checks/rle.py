"""Run lengths of COCO's masks, read for a whole file at once."""

from collections.abc import Sequence

import numpy as np

# Each character holds five bits of a number, whether another character follows, and is written from '0' on.
OFFSET, BITS, MORE, NEGATIVE = 48, 0x1F, 0x20, 0x10
LONGEST = 7


def totals(counts: Sequence[str]) -> np.ndarray:
    """How many pixels each compressed mask covers in all, background included.

    Args:
        counts: N texts as COCO writes them; none is empty.

    Returns:
        (N,) numbers; -1 where a text is no run lengths: other characters, a torn end, negative lengths.
    """
    # Of other alphabets only the length would be left.
    counts = [text if text.isascii() else '~' for text in counts]
    lengths = np.fromiter((len(text) for text in counts), np.int64, len(counts))
    raw = np.frombuffer(''.join(counts).encode('ascii'), np.uint8).astype(np.int64) - OFFSET
    firsts = np.cumsum(lengths) - lengths
    ends = (raw & MORE) == 0
    bad = np.logical_or.reduceat((raw < 0) | (raw > 63), firsts) | ~ends[firsts + lengths - 1]
    # What is bad would run into its neighbour.
    ends[firsts + lengths - 1] = True
    values, longest = numbers(raw, ends)
    sizes = np.add.reduceat(ends.astype(np.int64), firsts)
    starts = np.cumsum(sizes) - sizes
    bad |= np.maximum.reduceat(longest, starts) > LONGEST
    runs = undo_differences(values, starts, sizes)
    bad |= np.minimum.reduceat(runs, starts) < 0
    return np.where(bad, -1, np.add.reduceat(runs, starts))


def numbers(raw: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The numbers that groups of characters hold, and how many characters each has."""
    last = np.flatnonzero(ends)
    first = np.concatenate([[0], last[:-1] + 1])
    length = last - first + 1
    place = np.minimum(np.arange(len(raw)) - np.repeat(first, length), LONGEST)
    values = np.add.reduceat((raw & BITS) << (5 * place), first)
    negative = (raw[last] & NEGATIVE) != 0
    return values - np.where(negative, np.int64(1) << (5 * np.minimum(length, LONGEST + 1)), 0), length


def undo_differences(values: np.ndarray, starts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Run lengths: from the fourth on, each is written as its difference to the one before the last."""
    place = np.arange(len(values)) - np.repeat(starts, sizes)
    owner = np.repeat(np.arange(len(sizes)), sizes)
    runs = values.copy()
    for parity in (0, 1):
        chain = np.flatnonzero((place % 2 == parity) & (place > 0))
        if chain.size:
            total = np.cumsum(values[chain])
            head = np.flatnonzero(np.diff(owner[chain], prepend=-1))
            before = (total - values[chain])[head]
            runs[chain] = total - np.repeat(before, np.diff(head, append=len(chain)))
    return runs

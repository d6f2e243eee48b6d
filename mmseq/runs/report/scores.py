"""Which images a run does best and worst on, by the scores of its latest evaluation."""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmseq.errors import InputError


@dataclass(frozen=True)
class ImageScore:
    """A row of per_image.csv: the picture, its score in percent (None without one), and what it came from in words."""

    path: str
    score: float | None
    words: str

    @property
    def name(self) -> str:
        """Of the file, without folders and suffix."""
        return Path(self.path).stem


def read_scores(folder: Path) -> list[ImageScore]:
    """A work dir's per_image.csv, in the order of the data set; empty if there is none.

    Raises:
        InputError: the file has no columns ``image`` and ``score``, or a score that is no number.
    """
    path = folder / 'per_image.csv'
    if not path.is_file():
        return []
    with path.open(newline='', encoding='utf-8') as file:
        rows = list(csv.DictReader(file))
    try:
        return [ImageScore(row['image'], number(row['score']), in_words(row)) for row in rows]
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(f'{path}: expected columns image and score ({error}); evaluate again') from error


def number(cell: str) -> float | None:
    """A cell's number; None if it is empty or not finite.

    Raises:
        ValueError: it holds something else.
    """
    value = float(cell) if cell else math.nan
    return value if math.isfinite(value) else None


def in_words(row: dict[str, str]) -> str:
    """What went right and wrong in an image, as far as the columns say it."""
    if 'matches' in row:
        return f'{row["matches"]} found, {row["missed"]} missed, {row["false"]} false'
    words = []
    if row.get('pixel_accuracy'):
        words.append(f'{float(row["pixel_accuracy"]):.1f} % of pixels right')
    if row.get('most_confused'):
        words.append(f'{float(row["most_confused_share"]):.1f} % {row["most_confused"]}')
    return ', '.join(words)


def choose(scores: Sequence[Sequence[ImageScore]], count: int) -> dict[str, list[int]]:
    """Places of the images to look at, by heading.

    Args:
        scores: of one or several runs over the same images.
        count: at most so many under each heading.

    Returns:
        The worst and the best by the mean over the runs and, of several runs, those that they differ most in; each
        with the extreme one first. An image stands once under each heading, and images of a perfect score are not
        among the worst.
    """
    values = {
        i: found for i, of_runs in enumerate(zip(*scores)) if None not in (found := [one.score for one in of_runs])
    }
    mean = {i: sum(found) / len(found) for i, found in values.items()}
    # places decide between equal scores, so that the same run gives the same page
    order = sorted(mean, key=lambda i: (mean[i], i))
    # of few images the halves, so that none is both
    half = -(-len(order) // 2)
    chosen = {'Worst': [i for i in order[: min(count, half)] if mean[i] < 100]}
    if len(scores) > 1:
        spread = {i: max(found) - min(found) for i, found in values.items()}
        apart = sorted(spread, key=lambda i: (-spread[i], i))
        chosen['Most different'] = [i for i in apart[:count] if spread[i] > 0]
    chosen['Best'] = sorted(order[half:], key=lambda i: (-mean[i], i))[:count]
    return {heading: places for heading, places in chosen.items() if places}

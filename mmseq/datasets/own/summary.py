"""What an import tells: what was recognised, images and objects of each class and part, and what is unusual."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mmseq.datasets.own.card import IGNORED, Task
from mmseq.datasets.own.preparing import Prepared
from mmseq.datasets.own.source import Labelled, Source

SHOWN = 20


@dataclass(frozen=True)
class Counts:
    """What is in one part.

    Args:
        images: how many.
        empty: those without an object, or with the background alone.
        classes: objects of each class, or its share of the pixels.
        crowds: objects that neither training nor evaluation counts.
        ignored: share of the pixels that do not count.
    """

    images: int
    empty: int
    classes: Mapping[str, float]
    crowds: int = 0
    ignored: float = 0.0


def object_counts(images: Sequence[Labelled], classes: Sequence[str]) -> Counts:
    """Of images with objects."""
    objects = [one for image in images for one in image.objects]
    counted = Counter(one.name for one in objects if not one.crowd)
    empty = sum(not image.objects for image in images)
    return Counts(len(images), empty, {name: counted[name] for name in classes}, sum(one.crowd for one in objects))


@dataclass
class PixelCounter:
    """Gives label maps to be written, and counts what is in them."""

    prepared: Prepared
    images: int = 0
    empty: int = 0
    pixels: np.ndarray = field(default_factory=lambda: np.zeros(IGNORED + 1, np.int64))

    def read(self, image: Labelled) -> np.ndarray:
        """The classes (H, W) of an image."""
        values = self.prepared.label_map(image)
        found = np.bincount(values.ravel(), minlength=IGNORED + 1)
        self.images += 1
        self.empty += not found[1:IGNORED].any()
        self.pixels += found
        return values

    def counts(self) -> Counts:
        """Shares of all pixels."""
        total = max(1, int(self.pixels.sum()))
        shares = {name: float(self.pixels[k] / total) for k, name in enumerate(self.prepared.classes)}
        return Counts(self.images, self.empty, shares, ignored=float(self.pixels[IGNORED] / total))


@dataclass(frozen=True)
class Summary:
    """What was made of a source.

    Args:
        source: with its notes.
        task: of the card.
        classes: of the card.
        counts: by part.
        warnings: of the data check.
    """

    source: Source
    task: Task
    classes: Sequence[str]
    counts: Mapping[str, Counts]
    warnings: Sequence[str]

    def record(self) -> dict[str, Any]:
        """All of it in JSON's own types."""
        about = dict(format=self.source.format, found=self.source.found, task=self.task, classes=list(self.classes))
        parts = {part: vars(counts) for part, counts in self.counts.items()}
        return about | dict(parts=parts, notes=self.source.notes.counts, warnings=list(self.warnings))

    def lines(self) -> list[str]:
        """All of it for the eye."""
        names = f'{len(self.classes)} class{"es" * (len(self.classes) != 1)}'
        lines = [f'task: {self.task}, {names}', '', *self._table()]
        if notes := self.source.notes.lines():
            lines += ['', 'unusual:', *(f'  {note}' for note in notes)]
        if self.warnings:
            lines += ['', 'data check:', *(f'  {warning}' for warning in self.warnings)]
        else:
            lines += ['', 'data check: sound']
        return lines

    def _table(self) -> list[str]:
        shown = self.classes[:SHOWN]
        semantic = self.task == 'semantic'
        width = max(map(len, (*shown, 'images without objects')))
        head = f'{"":{width}}' + ''.join(f'{part:>10}' for part in self.counts)
        lines = [head, self._row('images', width, [counts.images for counts in self.counts.values()])]
        lines.append(self._row('images without objects', width, [counts.empty for counts in self.counts.values()]))
        for name in shown:
            values = [counts.classes[name] for counts in self.counts.values()]
            lines.append(self._row(name, width, [f'{value:.2%}' if semantic else value for value in values]))
        if len(self.classes) > SHOWN:
            lines.append(f'and {len(self.classes) - SHOWN} more classes, in import.json')
        for name, extra in (
            ('(not counted)', [counts.crowds for counts in self.counts.values()]),
            ('(ignored)', [f'{counts.ignored:.2%}' if counts.ignored else '' for counts in self.counts.values()]),
        ):
            lines += [self._row(name, width, extra)] if any(extra) else []
        return lines

    @staticmethod
    def _row(name: str, width: int, values: Sequence[Any]) -> str:
        return f'{name:{width}}' + ''.join(f'{value:>10}' for value in values)

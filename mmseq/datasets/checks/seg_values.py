"""What the values of label maps mean, and which of them nothing can be learnt from."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mmseq.datasets.checks.findings import Report

# What upstream's loading writes where `reduce_zero_label` or a subset of the classes takes a label away.
REDUCED_IGNORE = 255
# Labels of more values than this are a smoothed picture.
SMOOTHED = 16


@dataclass(frozen=True)
class Rules:
    """How label values are meant.

    Attributes:
        count: the number of classes; None: not bounded.
        reduce_zero_label: as in upstream's data sets.
        ignore_index: the class that the loss ignores.
        label_map: from classes of the data set to those of the config, for a config with a subset of them.
        eight_bits: the loader keeps 8 bits of a label, as mmseg's does.
    """

    count: int | None
    reduce_zero_label: bool
    ignore_index: int
    label_map: Mapping[int, int] | None = None
    eight_bits: bool = True

    def seen(self, values: np.ndarray) -> np.ndarray:
        """The classes that upstream's loading makes of label values."""
        if self.reduce_zero_label:
            values = np.where((values == 0) | (values == REDUCED_IGNORE), REDUCED_IGNORE, values - 1)
        mapped = values.copy()
        for old, new in (self.label_map or {}).items():
            mapped[values == old] = new
        return mapped

    def allowed(self) -> int:
        """How many classes the label maps may hold, where their number is bounded."""
        if self.label_map:
            return len(self.label_map)
        assert self.count is not None
        return self.count


@dataclass
class Seen:
    """What the label maps that were looked at hold together.

    Attributes:
        pixels: per label value.
        drawn: maps that hold 0 and 255 only.
        bordered: maps that hold 255 beside labels from 1 on.
    """

    pixels: Counter[int] = field(default_factory=Counter)
    drawn: int = 0
    bordered: int = 0

    def add(self, values: np.ndarray, pixels: np.ndarray) -> None:
        """Count the values of a map and their pixels."""
        self.pixels.update(dict(zip(values.tolist(), pixels.tolist())))
        if REDUCED_IGNORE in values:
            self.drawn += drawn_in_255(values)
            self.bordered += bool(((values > 0) & (values < REDUCED_IGNORE)).any())


def drawn_in_255(values: np.ndarray) -> bool:
    """Whether a map holds 0 and 255 only."""
    return values.tolist() == [0, REDUCED_IGNORE]


def check_values_of(report: Report, path: str, values: np.ndarray, pixels: np.ndarray, rules: Rules) -> None:
    """Check the sorted values of one label map, and how many pixels each has."""
    if rules.eight_bits and values[-1] > REDUCED_IGNORE:
        report.error(
            'sixteen_bit_labels',
            f'{path}: label value {values[-1]} in {pixels[-1]} pixels; the loader keeps 8 bits and makes '
            f'{values[-1] % 256} of it, use labels below 255',
            path,
        )
        return
    if rules.count is None:
        return
    seen = rules.seen(values)
    wrong = np.flatnonzero((seen != rules.ignore_index) & ((seen < 0) | (seen >= rules.count)))
    if wrong.size:
        report.error('label_values', wrong_value(path, values[wrong], pixels[wrong], rules), path)


def wrong_value(path: str, values: np.ndarray, pixels: np.ndarray, rules: Rules) -> str:
    """The line about values that are neither classes nor ignored."""
    first = 1 if rules.reduce_zero_label else 0
    ignored = sorted({0, REDUCED_IGNORE} if rules.reduce_zero_label else {rules.ignore_index})
    if rules.reduce_zero_label and rules.ignore_index != REDUCED_IGNORE:
        advice = f'reduce_zero_label=True turns 0 into {REDUCED_IGNORE}, so set ignore_index={REDUCED_IGNORE}'
    elif not rules.reduce_zero_label and values.tolist() == [rules.count]:
        advice = 'if 0 means "other" set reduce_zero_label=True, else correct num_classes or the labels'
    elif values.size > SMOOTHED:
        advice = 'so many values are a smoothed or lossy picture, save the class number per pixel as PNG'
    else:
        advice = 'correct num_classes, reduce_zero_label or the labels'
    also = f' and {values.size - 1} more values' if values.size > 1 else ''
    return (
        f'{path}: label value {values[0]} in {pixels[0]} pixels{also}; num_classes={rules.count} with '
        f'reduce_zero_label={rules.reduce_zero_label} allows {first}..{first + rules.allowed() - 1}, and '
        f'{" and ".join(map(str, ignored))} as ignore; {advice}'
    )


def check_count(report: Report, rules: Rules) -> None:
    """Labels of 8 bits hold 255 classes, since one value is ignored."""
    if rules.eight_bits and (rules.count or 0) > REDUCED_IGNORE:
        report.error(
            'too_many_classes',
            f'{report.where}: {rules.count} classes, but LoadAnnotations keeps 8 bits of a label, 255 of them ignored: '
            'classes from 255 on are lost; train at most 255 classes',
        )


def check_together(report: Report, seg_dir: str, seen: Seen, rules: Rules, classes: Sequence[str] | None) -> None:
    """What the label values of all maps together say of the options."""
    values = np.array(sorted(seen.pixels))
    used = {int(value) for value in rules.seen(values) if value != rules.ignore_index}
    looked = f'{seg_dir}: the {report.checked} label maps looked at'
    binary = rules.count in (1, 2) and not rules.reduce_zero_label and seen.drawn and not seen.bordered
    if binary or set(seen.pixels) == {0, REDUCED_IGNORE}:
        # Said below with its cause.
        report.findings.pop('label_values', None)
    if set(seen.pixels) == {0, REDUCED_IGNORE}:
        meant = 'is ignored' if rules.ignore_index == REDUCED_IGNORE else 'is no class'
        report.error(
            'drawn_in_255',
            f'{looked} hold 0 and 255 only, and 255 {meant} ({seen.pixels[255]} pixels); write 1 for the foreground',
            count=report.checked,
        )
    elif binary:
        report.error(
            'drawn_in_255',
            f'{seg_dir}: {seen.drawn} of the {report.checked} label maps looked at hold 0 and 255 only, the others '
            'labels and never 255; write 1 for the foreground in all of them',
            count=seen.drawn,
        )
    elif not used:
        hint = ' (reduce_zero_label=True ignores 0)' if rules.reduce_zero_label else ''
        report.error(
            'only_ignored',
            f'{looked} hold nothing but ignored pixels{hint}; correct the label maps or reduce_zero_label',
            count=report.checked,
        )
    elif rules.reduce_zero_label and rules.count and not rules.label_map:
        check_zero(report, looked, seen.pixels, rules.count)
    # A sample says little about what never occurs.
    if rules.count is not None and used and report.checked == report.total:
        check_absent(report, seg_dir, used, rules.count, classes)


def check_zero(report: Report, looked: str, pixels: Counter[int], count: int) -> None:
    """Whether 0 seems to be a class although it is ignored."""
    if count not in pixels and set(range(count)) <= set(pixels):
        share = pixels[0] / sum(pixels.values())
        report.warning(
            'reduce_zero_label',
            f'{looked} hold 0..{count - 1} and never {count}: reduce_zero_label=True ignores 0 '
            f'({share:.1%} of the pixels); if 0 is a class, set reduce_zero_label=False',
        )


def check_absent(report: Report, seg_dir: str, used: set[int], count: int, classes: Sequence[str] | None) -> None:
    """Which classes never occur."""
    absent = [k for k in range(count) if k not in used]
    if absent:
        names = [classes[k] if classes and k < len(classes) else str(k) for k in absent]
        report.warning(
            'absent_classes',
            f'{seg_dir}: {len(absent)} of {count} classes never occur, first {names[0]!r}; they can be '
            'neither learnt nor measured',
            names[0],
            len(absent),
        )

"""Checks of a folder of images against its folder of label maps, as upstream's BaseSegDataset pairs them.

Upstream finds a label beyond the classes as a device assert in the middle of an epoch, and a wrong reduce_zero_label
or a mask drawn in 255 only as an IoU of 0.
"""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmseq.datasets.checks.findings import Report, spaced
from mmseq.datasets.checks.images import DamagedFileError, Header, decode, in_threads
from mmseq.datasets.checks.shared import Progress, check_head, folder, plain_names, unusual
from mmseq.errors import InputError

# What upstream's loading writes where `reduce_zero_label` takes a label away.
REDUCED_IGNORE = 255


@dataclass(frozen=True)
class Rules:
    """How label values are meant: the number of classes (None: not bounded), and what is ignored."""

    count: int | None
    reduce_zero_label: bool
    ignore_index: int

    def seen(self, values: np.ndarray) -> np.ndarray:
        """The classes that upstream's loading makes of label values."""
        if not self.reduce_zero_label:
            return values
        return np.where((values == 0) | (values == REDUCED_IGNORE), REDUCED_IGNORE, values - 1)


def examine_seg(
    img_dir: str,
    seg_dir: str,
    img_suffix: str,
    seg_suffix: str,
    num_classes: int | None,
    reduce_zero_label: bool,
    ignore_index: int = 255,
    classes: Sequence[str] | None = None,
    ann_file: str = '',
    sample: int | None = 64,
    progress: Progress | None = None,
) -> Report:
    """Check a folder of images against its folder of label maps.

    Args:
        img_dir: folder of the images.
        seg_dir: folder of the label maps.
        img_suffix: how image names end.
        seg_suffix: how the name of a label map differs from that.
        num_classes: the head's number; None: that of ``classes``; without either, label values are not bounded.
        reduce_zero_label: as in upstream's data sets.
        ignore_index: the class that the loss ignores.
        classes: the config's names.
        ann_file: a list of names without suffix; empty: all in the folder.
        sample: how many pairs are opened, evenly spaced; None: all.
        progress: wraps the pairs as they are opened, given their number.

    Returns:
        What was found; absent folders end the check with one error.
    """
    report = Report(img_dir)
    if classes is not None and plain_names(report, classes):
        check_head(report, len(classes), num_classes)
    count = num_classes if num_classes is not None else len(classes) if classes is not None else None
    try:
        stems, labelled = _stems(img_dir, img_suffix, 'img_suffix'), set(_stems(seg_dir, seg_suffix, 'seg_map_suffix'))
        wanted = _names(ann_file) if ann_file else stems
    except InputError as error:
        report.error('missing', str(error))
        return report
    report.total = len(wanted)
    pairs = _pairs(report, img_dir, seg_dir, img_suffix, seg_suffix, wanted, set(stems), labelled)
    rules = Rules(count, reduce_zero_label, ignore_index)
    pixels = _check_pairs(report, spaced(pairs, sample), rules, progress)
    if pixels:
        _check_values(report, seg_dir, pixels, rules, classes)
    return report


def _names(path: str) -> list[str]:
    try:
        with open(path, encoding='utf-8') as file:
            names = [line.strip() for line in file if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f'{path}: cannot be read as a list of names ({error}); correct ann_file') from error
    if not names:
        raise InputError(f'{path}: names nothing; write one name without suffix a line')
    return names


def _stems(directory: str, suffix: str, option: str) -> list[str]:
    """Paths below a folder that end with the suffix, relative to it, sorted, without the suffix."""
    folder(directory, 'image' if option == 'img_suffix' else 'label')
    stems, others = [], Counter()
    pending = ['']
    while pending:
        inner = pending.pop()
        with os.scandir(os.path.join(directory, inner)) as entries:
            for entry in entries:
                path = os.path.join(inner, entry.name)
                if entry.is_dir():
                    pending.append(path)
                elif entry.name.endswith(suffix):
                    stems.append(path.removesuffix(suffix))
                else:
                    others[os.path.splitext(entry.name)[1]] += 1
    if not stems:
        found = f'most end with {others.most_common(1)[0][0]!r}' if others else 'there are only folders'
        raise InputError(f'{directory}: no file ends with {suffix!r}, {found}; correct {option}')
    return sorted(stems)


def _pairs(
    report: Report,
    img_dir: str,
    seg_dir: str,
    img_suffix: str,
    seg_suffix: str,
    wanted: list[str],
    present: set[str],
    labelled: set[str],
) -> list[tuple[str, str]]:
    """Paths of the images and label maps that are both there."""
    absent = [stem for stem in wanted if stem not in present]
    if absent:
        report.error(
            'missing',
            f'{img_dir}: {len(absent)} of the {len(wanted)} images that ann_file names are not there, first '
            f'{absent[0] + img_suffix!r}; correct ann_file or img_suffix, or fetch the images',
            absent[0] + img_suffix,
            len(absent),
        )
    bare = [stem for stem in wanted if stem in present and stem not in labelled]
    if bare:
        report.error(
            'missing_labels',
            f'{seg_dir}: {len(bare)} of {len(wanted)} images have no label map, first {bare[0] + seg_suffix!r} for '
            f'{bare[0] + img_suffix!r}; add the label maps, or take the images away',
            bare[0] + seg_suffix,
            len(bare),
        )
    alone = sorted(labelled - present)
    if alone:
        report.warning(
            'missing_images',
            f'{img_dir}: {len(alone)} label maps have no image, first {alone[0] + seg_suffix!r}; they are not used',
            alone[0] + seg_suffix,
            len(alone),
        )
    whole = [stem for stem in wanted if stem in present and stem in labelled]
    return [(os.path.join(img_dir, stem + img_suffix), os.path.join(seg_dir, stem + seg_suffix)) for stem in whole]


def _check_pairs(
    report: Report, pairs: list[tuple[str, str]], rules: Rules, progress: Progress | None
) -> Counter[int] | None:
    """Check images and label maps; the pixels per label value, or None where no label map was sound."""
    report.checked = len(pairs)
    pixels: Counter[int] = Counter()

    def look(pair: tuple[str, str]) -> tuple:
        found = []
        for path, labels in zip(pair, (False, True)):
            try:
                header, values = decode(path, labels=labels)
            except DamagedFileError as error:
                found.append(error)
                continue
            if labels:
                # Counting here keeps it in the threads, and the map out of the queue.
                whole = values.ndim == 2 and values.dtype.kind in 'uib'
                found.append((values.shape, np.unique(values, return_counts=True) if whole else None))
            else:
                found.append(header)
        return tuple(found)

    looks = zip(pairs, in_threads(look, pairs))
    for (image, label), (header, labels) in progress(looks, len(pairs)) if progress else looks:
        for damage in (header, labels):
            if isinstance(damage, DamagedFileError):
                report.error(damage.kind, str(damage), image if damage is header else label)
        if isinstance(header, Header):
            unusual(report, image, header)
        if not isinstance(labels, DamagedFileError):
            size = (header.height, header.width) if isinstance(header, Header) else None
            _check_map(report, label, *labels, size, rules, pixels)
    return pixels or None


def _check_map(
    report: Report,
    path: str,
    shape: tuple[int, ...],
    counted: tuple[np.ndarray, np.ndarray] | None,
    size: tuple[int, int] | None,
    rules: Rules,
    pixels: Counter[int],
) -> None:
    """Check one label map of this shape and these values and pixels per value; add it to the pixels."""
    if len(shape) != 2:
        report.error(
            'channels',
            f'{path}: has {shape[2]} channels; write one channel that holds the class number per pixel',
            path,
        )
        return
    if size is not None and shape != size:
        report.error(
            'wrong_size',
            f'{path}: is {shape[0]} x {shape[1]} (height x width), but its image is {size[0]} x {size[1]}; write the '
            'labels at the size of the image',
            path,
        )
    if counted is None:
        report.error('channels', f'{path}: holds no whole numbers from 0 up; write the class number per pixel', path)
        return
    values = counted[0].astype(np.int64)
    pixels.update(dict(zip(values.tolist(), counted[1].tolist())))
    seen = rules.seen(values)
    if rules.count is not None:
        wrong = np.flatnonzero((seen != rules.ignore_index) & ((seen < 0) | (seen >= rules.count)))
        if wrong.size:
            report.error('label_values', _wrong_value(path, values[wrong], counted[1][wrong], rules), path)


def _wrong_value(path: str, values: np.ndarray, pixels: np.ndarray, rules: Rules) -> str:
    first = 1 if rules.reduce_zero_label else 0
    ignored = sorted({0, REDUCED_IGNORE} if rules.reduce_zero_label else {rules.ignore_index})
    if rules.reduce_zero_label and rules.ignore_index != REDUCED_IGNORE:
        advice = f'reduce_zero_label=True turns 0 into {REDUCED_IGNORE}, so set ignore_index={REDUCED_IGNORE}'
    elif not rules.reduce_zero_label and values.tolist() == [rules.count]:
        advice = 'if 0 means "other" set reduce_zero_label=True, else correct num_classes or the labels'
    else:
        advice = 'correct num_classes, reduce_zero_label or the labels'
    also = f' and {values.size - 1} more values' if values.size > 1 else ''
    return (
        f'{path}: label value {values[0]} in {pixels[0]} pixels{also}; num_classes={rules.count} with '
        f'reduce_zero_label={rules.reduce_zero_label} allows {first}..{first + rules.count - 1}, and '
        f'{" and ".join(map(str, ignored))} as ignore; {advice}'
    )


def _check_values(
    report: Report, seg_dir: str, pixels: Counter[int], rules: Rules, classes: Sequence[str] | None
) -> None:
    """What the label values of all maps together say of the options."""
    values = np.array(sorted(pixels))
    seen = rules.seen(values)
    used = {int(value) for value in seen if value != rules.ignore_index}
    looked = f'{seg_dir}: the {report.checked} label maps looked at'
    if not used:
        hint = ' (reduce_zero_label=True ignores 0)' if rules.reduce_zero_label else ''
        report.error(
            'only_ignored',
            f'{looked} hold nothing but ignored pixels{hint}; correct the label maps or reduce_zero_label',
            count=report.checked,
        )
    elif set(pixels) == {0, 255} and rules.ignore_index == 255 and (rules.count or 0) > 1:
        report.error(
            'drawn_in_255',
            f'{looked} hold 0 and 255 only, and 255 is ignored ({pixels[255]} pixels); write 1 for the foreground, or '
            'train another ignore_index',
            count=report.checked,
        )
    elif rules.reduce_zero_label and rules.count and 0 in pixels and rules.count not in pixels:
        share = pixels[0] / sum(pixels.values())
        if set(range(rules.count)) <= set(pixels):
            report.warning(
                'reduce_zero_label',
                f'{looked} hold 0..{rules.count - 1} and never {rules.count}: reduce_zero_label=True ignores 0 '
                f'({share:.1%} of the pixels); if 0 is a class, set reduce_zero_label=False',
            )
    # A sample says little about what never occurs.
    if rules.count is not None and report.checked == report.total:
        absent = [k for k in range(rules.count) if k not in used]
        if absent and used:
            names = [classes[k] if classes and k < len(classes) else str(k) for k in absent]
            report.warning(
                'absent_classes',
                f'{seg_dir}: {len(absent)} of {rules.count} classes never occur, first {names[0]!r}; nothing can be '
                'learnt or measured of them',
                names[0],
                len(absent),
            )

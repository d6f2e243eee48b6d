"""Checks of a folder of images against its folder of label maps, as upstream's BaseSegDataset pairs them.

Upstream finds a label beyond the classes as a device assert in the middle of an epoch, and a wrong reduce_zero_label
or a mask drawn in 255 only as an IoU of 0.
"""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from mmseq.datasets.checks.findings import Report, spaced
from mmseq.datasets.checks.images import DamagedFileError, Header, decode, in_threads
from mmseq.datasets.checks.seg_values import Rules, Seen, check_count, check_together, check_values_of
from mmseq.datasets.checks.shared import Progress, check_head, folder, plain_names, read_names, unusual
from mmseq.datasets.checks.use import TRAINED, Use
from mmseq.errors import InputError


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
    label_map: Mapping[int, int] | None = None,
    eight_bits: bool = True,
    use: Use = TRAINED,
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
        label_map: from classes of the data set to those of the config, which has a subset of them.
        eight_bits: the loader keeps 8 bits of a label, as mmseg's does.
        use: what the config does with them; without labels only the images are looked at.
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
        stems = _stems(img_dir, img_suffix, 'img_suffix')
        labelled = set(_stems(seg_dir, seg_suffix, 'seg_map_suffix')) if use.labelled else None
        wanted = read_names(ann_file) if ann_file else stems
    except InputError as error:
        report.error('missing', str(error))
        return report
    report.total = len(wanted)
    pairs = _pairs(report, img_dir, seg_dir, img_suffix, seg_suffix, wanted, set(stems), labelled)
    rules = Rules(count, reduce_zero_label, ignore_index, label_map, eight_bits)
    check_count(report, rules)
    seen = _check_pairs(report, spaced(pairs, sample), rules, use.channels, progress)
    if seen.pixels:
        check_together(report, seg_dir, seen, rules, classes)
    return report


def _stems(directory: str, suffix: str, option: str) -> list[str]:
    """Paths below a folder that end with the suffix, relative to it, sorted, without the suffix."""
    folder(directory, 'image' if option == 'img_suffix' else 'label')
    stems: list[str] = []
    others: Counter[str] = Counter()
    pending = ['']
    while pending:
        inner = pending.pop()
        with os.scandir(os.path.join(directory, inner)) as entries:
            for entry in entries:
                path = os.path.join(inner, entry.name)
                if entry.is_dir():
                    pending.append(path)
                elif entry.name.startswith('.'):
                    # Upstream passes hidden files over, as other systems leave them behind.
                    continue
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
    labelled: set[str] | None,
) -> list[tuple[str, ...]]:
    """Paths of the images and label maps that are both there, or of the images alone where there are no labels."""
    absent = [stem for stem in wanted if stem not in present]
    if absent:
        report.error(
            'missing',
            f'{img_dir}: {len(absent)} of the {len(wanted)} images that ann_file names are not there, first '
            f'{absent[0] + img_suffix!r}; correct ann_file or img_suffix, or fetch the images',
            absent[0] + img_suffix,
            len(absent),
        )
    if labelled is None:
        return [(os.path.join(img_dir, stem + img_suffix),) for stem in wanted if stem in present]
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
            f'{img_dir}: {len(alone)} of {len(labelled)} label maps have no image and are not used, first '
            f'{alone[0] + seg_suffix!r}; add {alone[0] + img_suffix!r}, with exactly this suffix, and the others',
            alone[0] + seg_suffix,
            len(alone),
        )
    whole = [stem for stem in wanted if stem in present and stem in labelled]
    return [(os.path.join(img_dir, stem + img_suffix), os.path.join(seg_dir, stem + seg_suffix)) for stem in whole]


class LabelMap(NamedTuple):
    """The shape of a label map, and its values with the pixels of each; None where these are no whole numbers."""

    shape: tuple[int, ...]
    counted: tuple[np.ndarray, np.ndarray] | None


def _check_pairs(
    report: Report, pairs: list[tuple[str, ...]], rules: Rules, channels: bool, progress: Progress | None
) -> Seen:
    """Check images and label maps; what the sound label maps hold."""
    report.checked = len(pairs)
    seen = Seen()

    def look(pair: tuple[str, ...]) -> list[Header | LabelMap | DamagedFileError]:
        found: list[Header | LabelMap | DamagedFileError] = []
        for path, labels in zip(pair, (False, True)):
            try:
                header, values = decode(path, labels=labels, channels=channels)
            except DamagedFileError as error:
                found.append(error)
                continue
            if values is not None:
                # Counting here keeps it in the threads, and the map out of the queue.
                whole = values.ndim == 2 and values.dtype.kind in 'uib'
                found.append(LabelMap(values.shape, np.unique(values, return_counts=True) if whole else None))
            else:
                found.append(header)
        return found

    looks = zip(pairs, in_threads(look, pairs))
    for paths, (header, *labels) in progress(looks, len(pairs)) if progress else looks:
        for path, damage in zip(paths, (header, *labels)):
            if isinstance(damage, DamagedFileError):
                report.error(damage.kind, str(damage), path)
        if isinstance(header, Header):
            unusual(report, paths[0], header)
        if labels and isinstance(labels[0], LabelMap):
            size = (header.height, header.width) if isinstance(header, Header) else None
            _check_map(report, paths[1], labels[0], size, rules, seen)
    return seen


def _check_map(
    report: Report,
    path: str,
    labels: LabelMap,
    size: tuple[int, int] | None,
    rules: Rules,
    seen: Seen,
) -> None:
    """Check one label map; add it to the pixels."""
    shape, counted = labels
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
    seen.add(values, counted[1])
    check_values_of(report, path, values, counted[1], rules)

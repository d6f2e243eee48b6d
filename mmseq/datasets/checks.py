"""Quick checks of a data set before training: what is wrong with it is said in one line, within seconds.

Upstream finds most of these faults late (a label out of range is a device assert in the middle of an epoch), and some
never: a class name that the annotation file lacks gives a data set without that class, and no message. The checks take
plain paths and names, read the annotation file and each folder once, and open an evenly spaced sample of the images.
"""

import json
import os
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

import numpy as np
from PIL import Image

from mmseq.datasets.multispectral import SUFFIXES, read_channels
from mmseq.errors import InputError

# EXIF orientations that swap the sides; the loaders turn such pictures before anything else.
ORIENTATION_TAG, SIDEWAYS = 274, (5, 6, 7, 8)
# What upstream's loading writes where `reduce_zero_label` takes a label away.
REDUCED_IGNORE = 255
SHOWN_NAMES = 8


def check_coco(
    ann_file: str,
    img_dir: str,
    classes: Sequence[str] | None = None,
    num_classes: int | None = None,
    sample: int = 64,
) -> None:
    """Check a COCO annotation file, its images and the classes that a config wants of them.

    `classes` are the config's names (None: those of the file), `num_classes` the head's number (None: not compared),
    `sample` how many images are opened. Raises InputError at the first fault.
    """
    content = _read_json(ann_file)
    images = _rows(ann_file, content, 'images', ('id', 'file_name', 'height', 'width'))
    categories = _rows(ann_file, content, 'categories', ('id', 'name'))
    annotations = _rows(ann_file, content, 'annotations', ('id', 'image_id', 'category_id', 'bbox'))
    for key, rows in (('images', images), ('categories', categories), ('annotations', annotations)):
        _no_twins(f'{ann_file}: {key}', 'id', (row['id'] for row in rows))
    _check_classes(ann_file, [category['name'] for category in categories], classes)
    _check_head(ann_file, len(categories if classes is None else classes), num_classes)
    _check_references(ann_file, images, categories, annotations, classes)
    _check_listed(ann_file, img_dir, images)
    for row in _spaced(images, sample):
        path = os.path.join(img_dir, row['file_name'])
        width, height = _image_size(path)
        if (row['height'], row['width']) != (height, width):
            raise InputError(
                f'{path}: is {height} x {width} (height x width), but {ann_file} says {row["height"]} x '
                f'{row["width"]}; its boxes belong to another version of the image, use the one they were drawn on'
            )


def check_seg(
    img_dir: str,
    seg_dir: str,
    img_suffix: str,
    seg_suffix: str,
    num_classes: int | None,
    reduce_zero_label: bool,
    ignore_index: int = 255,
    classes: Sequence[str] | None = None,
    sample: int = 64,
) -> None:
    """Check a folder of images against its folder of label maps, as upstream's BaseSegDataset pairs them.

    `num_classes` is the head's number (None: that of `classes`; without either, label values are not bounded),
    `sample` how many pairs are opened. Raises InputError at the first fault.
    """
    if classes is not None:
        _plain_names(classes)
        _check_head(img_dir, len(classes), num_classes)
    count = num_classes if num_classes is not None else len(classes) if classes is not None else None
    stems = _stems(img_dir, img_suffix, 'img_suffix')
    labelled = set(_stems(seg_dir, seg_suffix, 'seg_map_suffix'))
    bare = [stem for stem in stems if stem not in labelled]
    if bare:
        raise InputError(
            f'{seg_dir}: {len(bare)} of {len(stems)} images have no label map, first {bare[0] + seg_suffix!r} for '
            f'{bare[0] + img_suffix!r}; add the label maps, or take the images away'
        )
    useful = False
    for stem in _spaced(stems, sample):
        image, labels = os.path.join(img_dir, stem + img_suffix), os.path.join(seg_dir, stem + seg_suffix)
        useful |= _check_pair(image, labels, count, reduce_zero_label, ignore_index)
    if not useful:
        hint = ' (reduce_zero_label=True ignores 0)' if reduce_zero_label else ''
        raise InputError(
            f'{seg_dir}: the {min(sample, len(stems))} label maps looked at hold nothing but ignored pixels{hint}; '
            'correct the label maps or reduce_zero_label'
        )


def _read_json(path: str) -> dict[str, Any]:
    if not os.path.isfile(path):
        raise InputError(f'{path}: no such annotation file; correct data_root and ann_file, or fetch the data set')
    if os.path.getsize(path) == 0:
        raise InputError(f'{path}: is empty (0 bytes); fetch or write it again')
    try:
        with open(path, encoding='utf-8') as file:
            content = json.load(file)
    except (ValueError, RecursionError) as error:
        raise InputError(f'{path}: is not whole JSON ({error}), as a torn download leaves; fetch it again') from error
    except OSError as error:
        raise InputError(f'{path}: cannot be read ({error.strerror}); correct its permissions') from error
    if not isinstance(content, dict):
        raise InputError(f'{path}: holds a {type(content).__name__} instead of an object; give a COCO instances file')
    return content


def _rows(path: str, content: dict[str, Any], key: str, fields: tuple[str, ...]) -> list[dict[str, Any]]:
    """The list at `key`, not empty, each entry with these fields."""
    rows = content.get(key)
    if not isinstance(rows, list):
        found = f'holds {", ".join(map(repr, list(content)[:SHOWN_NAMES])) or "nothing"}'
        raise InputError(f'{path}: has no list {key!r} ({found}); give a COCO instances file')
    if not rows:
        raise InputError(f'{path}: {key!r} is empty; there is nothing to train on, give a file with {key}')
    wanted = frozenset(fields)
    for index, row in enumerate(rows):
        if not isinstance(row, dict):
            raise InputError(f'{path}: {key}[{index}] is a {type(row).__name__} instead of an object; write it anew')
        if not wanted <= row.keys():
            missing = next(field for field in fields if field not in row)
            raise InputError(f'{path}: {key}[{index}] has no {missing!r}; add it, COCO requires it')
    return rows


def _no_twins(where: str, what: str, values: Iterable[Hashable]) -> None:
    twins = [value for value, count in Counter(values).items() if count > 1]
    if twins:
        raise InputError(f'{where}: {len(twins)} {what}s stand more than once, first {twins[0]!r}; make them unique')


def _plain_names(classes: Sequence[str]) -> None:
    if isinstance(classes, str):
        raise InputError(f'classes={classes!r}: is one text; give a list of names, as in ({classes!r},)')
    _no_twins('classes', 'name', classes)


def _check_classes(ann_file: str, names: list[str], classes: Sequence[str] | None) -> None:
    _no_twins(f'{ann_file}: categories', 'name', names)
    if classes is None:
        return
    _plain_names(classes)
    if not classes:
        raise InputError('classes: is empty; name at least one class')
    missing = [name for name in classes if name not in set(names)]
    if len(missing) == len(classes):
        raise InputError(
            f'{ann_file}: class names differ: the config has {_listed(classes)}, the file {_listed(names)}; '
            'set metainfo.classes to the names of the file'
        )
    if missing:
        raise InputError(
            f'{ann_file}: {len(missing)} of the {len(classes)} classes are not among its categories: '
            f'{_listed(missing)}; spell them as the file does ({_listed(names)}), or drop them'
        )
    chosen = [name for name in names if name in set(classes)]
    if chosen != list(classes):
        first = next(k for k, (a, b) in enumerate(zip(classes, chosen)) if a != b)
        # mmdet numbers its labels by the file's order and names them by the config's.
        raise InputError(
            f'{ann_file}: classes stand in another order than its categories: number {first} is {classes[first]!r} in '
            f'the config, {chosen[first]!r} in the file; use the order of the file, or names and labels get mixed up'
        )


def _check_head(where: str, count: int, num_classes: int | None) -> None:
    if num_classes is not None and count != num_classes:
        raise InputError(f'{where}: has {count} classes, but the head num_classes={num_classes}; make them equal')


def _check_references(
    ann_file: str,
    images: list[dict[str, Any]],
    categories: list[dict[str, Any]],
    annotations: list[dict[str, Any]],
    classes: Sequence[str] | None,
) -> None:
    """Every annotation belongs to an image and a category of the file, and some to the wanted classes."""
    for key, rows, known_as in (('image_id', images, 'images'), ('category_id', categories, 'categories')):
        known = {row['id'] for row in rows}
        lost = [ann for ann in annotations if ann[key] not in known]
        if lost:
            raise InputError(
                f'{ann_file}: {len(lost)} of {len(annotations)} annotations have a {key} that is not among its '
                f'{known_as}, first {key} {lost[0][key]!r} of annotation {lost[0]["id"]!r}; drop or renumber them'
            )
    if classes is not None:
        wanted = {row['id'] for row in categories if row['name'] in set(classes)}
        if not any(ann['category_id'] in wanted for ann in annotations):
            raise InputError(
                f'{ann_file}: none of its {len(annotations)} annotations is of the classes {_listed(classes)}; '
                'give a file that has some, or other classes'
            )
    for ann in annotations:
        box = ann['bbox']
        if not isinstance(box, list) or len(box) != 4:
            raise InputError(f'{ann_file}: annotation {ann["id"]!r} has bbox {box!r}; give [left, top, width, height]')


def _check_listed(ann_file: str, img_dir: str, images: list[dict[str, Any]]) -> None:
    """Every image of the file lies in the folder, which is listed once instead of asked once per image."""
    _folder(img_dir, 'image')
    present: dict[str, set[str]] = {}
    absent = []
    for row in images:
        folder, name = os.path.split(row['file_name'])
        if folder not in present:
            path = os.path.join(img_dir, folder)
            present[folder] = {entry.name for entry in os.scandir(path)} if os.path.isdir(path) else set()
        if name not in present[folder]:
            absent.append(row['file_name'])
    if absent:
        raise InputError(
            f'{img_dir}: {len(absent)} of the {len(images)} images in {ann_file} are not there, first {absent[0]!r}; '
            'correct data_prefix, or fetch the images'
        )


def _folder(path: str, kind: str) -> None:
    if not os.path.isdir(path):
        raise InputError(f'{path}: no such {kind} folder; correct data_root and data_prefix, or fetch the data set')
    with os.scandir(path) as entries:
        if next(entries, None) is None:
            raise InputError(f'{path}: the {kind} folder is empty; fetch the data set, or correct data_prefix')


def _stems(folder: str, suffix: str, option: str) -> list[str]:
    """Paths below a folder that end with the suffix, relative to it, sorted, without the suffix."""
    _folder(folder, 'image' if option == 'img_suffix' else 'label')
    stems, others = [], Counter()
    pending = ['']
    while pending:
        inner = pending.pop()
        with os.scandir(os.path.join(folder, inner)) as entries:
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
        raise InputError(f'{folder}: no file ends with {suffix!r}, {found}; correct {option}')
    return sorted(stems)


def _check_pair(
    image_path: str, label_path: str, count: int | None, reduce_zero_label: bool, ignore_index: int
) -> bool:
    """Check one image and its label map; whether any pixel of it is not ignored."""
    size = _image_size(image_path)
    labels = _open_image(label_path, _label_array)
    if labels.ndim != 2:
        raise InputError(
            f'{label_path}: has {labels.shape[2]} channels; write one channel that holds the class number per pixel'
        )
    if labels.shape[::-1] != size:
        raise InputError(
            f'{label_path}: is {labels.shape[0]} x {labels.shape[1]} (height x width), but its image is {size[1]} x '
            f'{size[0]}; write the labels at the size of the image'
        )
    values, pixels = np.unique(labels, return_counts=True)
    values = values.astype(np.int64)
    seen = values
    if reduce_zero_label:
        seen = np.where((values == 0) | (values == REDUCED_IGNORE), REDUCED_IGNORE, values - 1)
    ignored = seen == ignore_index
    if count is not None:
        wrong = np.flatnonzero(~ignored & ((seen < 0) | (seen >= count)))
        if wrong.size:
            _wrong_value(label_path, values[wrong], pixels[wrong], count, reduce_zero_label, ignore_index)
    return not ignored.all()


def _wrong_value(
    path: str, values: np.ndarray, pixels: np.ndarray, count: int, reduce_zero_label: bool, ignore_index: int
) -> None:
    first = 1 if reduce_zero_label else 0
    ignored = sorted({0, REDUCED_IGNORE} if reduce_zero_label else {ignore_index})
    if reduce_zero_label and ignore_index != REDUCED_IGNORE:
        advice = f'reduce_zero_label=True turns 0 into {REDUCED_IGNORE}, so set ignore_index={REDUCED_IGNORE}'
    elif not reduce_zero_label and values.tolist() == [count]:
        advice = 'if 0 means "other" set reduce_zero_label=True, else correct num_classes or the labels'
    else:
        advice = 'correct num_classes, reduce_zero_label or the labels'
    also = f' and {values.size - 1} more values' if values.size > 1 else ''
    raise InputError(
        f'{path}: label value {values[0]} in {pixels[0]} pixels{also}; num_classes={count} with '
        f'reduce_zero_label={reduce_zero_label} allows {first}..{first + count - 1}, and '
        f'{" and ".join(map(str, ignored))} as ignore; {advice}'
    )


def _open_image(path: str, read: Callable[[Image.Image], Any]) -> Any:
    """What `read` makes of the image at `path`, or InputError when the file is not whole."""
    try:
        if os.path.getsize(path) == 0:
            raise InputError(f'{path}: is empty (0 bytes); fetch it again')
        with Image.open(path) as image:
            # The header alone would pass a file torn behind it.
            image.load()
            return read(image)
    except Image.DecompressionBombError as error:
        raise InputError(f'{path}: {error}; cut it into tiles') from error
    except (OSError, SyntaxError) as error:
        reason = str(error).replace('\n', ' ')
        raise InputError(f'{path}: cannot be decoded ({reason}), truncated or no image; fetch it again') from error


def _image_size(path: str) -> tuple[int, int]:
    """Width and height of an image, which PIL need not know."""
    if not path.lower().endswith(SUFFIXES):
        return _open_image(path, _size)
    height, width = read_channels(path).shape[:2]
    return width, height


def _size(image: Image.Image) -> tuple[int, int]:
    """Width and height as the loaders see them."""
    sideways = image.getexif().get(ORIENTATION_TAG) in SIDEWAYS
    return (image.height, image.width) if sideways else (image.width, image.height)


def _label_array(image: Image.Image) -> np.ndarray:
    """Class numbers (H, W), or (H, W, channels) where the file has several; a palette's indices stay as they are."""
    return np.asarray(image)


def _spaced(rows: list[Any], count: int) -> list[Any]:
    """At most `count` of the rows, evenly spaced, with the first and the last."""
    if len(rows) <= count:
        return rows
    return [rows[round(k * (len(rows) - 1) / max(1, count - 1))] for k in range(count)]


def _listed(names: Sequence[str]) -> str:
    shown = ', '.join(repr(name) for name in names[:SHOWN_NAMES])
    return shown + (f' and {len(names) - SHOWN_NAMES} more' if len(names) > SHOWN_NAMES else '')

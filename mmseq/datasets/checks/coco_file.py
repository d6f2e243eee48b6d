"""A COCO annotation file as a file: whole JSON of the usual encoding, with the lists and fields that upstream reads."""

import codecs
import json
import os
from typing import Any, Literal

from mmseq.datasets.checks.coco_annotations import FIELDS, IDS, NUMBERS, Annotations, Fields, Rows, arranged
from mmseq.datasets.checks.coco_pieces import read_in_pieces
from mmseq.datasets.checks.findings import SHOWN_NAMES
from mmseq.errors import InputError

IMAGE_FIELDS: Fields = {'id': IDS, 'file_name': (str,), 'height': NUMBERS, 'width': NUMBERS}
# How a file names its images: COCO's by the file, LVIS v1's by its address, LVIS v0.5's with a prefix that goes.
Naming = Literal['coco', 'lvis_v1', 'lvis_v0.5']
ADDRESS, PLAIN_NAME = 'http://images.cocodataset.org/', len('000000000001.jpg')
CATEGORY_FIELDS: Fields = {'id': IDS, 'name': (str,)}
# How files begin that are no plain text, and what to do; UTF-32 begins as UTF-16 does.
BEGINNINGS = (
    (codecs.BOM_UTF8, 'begins with a byte order mark, which upstream cannot read; save it as UTF-8 without BOM'),
    (codecs.BOM_UTF16_LE, 'is UTF-16, which upstream cannot read; save it as UTF-8'),
    (codecs.BOM_UTF16_BE, 'is UTF-16, which upstream cannot read; save it as UTF-8'),
    (b'\x1f\x8b', 'is packed by gzip; unpack it'),
    (b'PK\x03\x04', 'is a zip archive; unpack it'),
    (b'<', 'holds HTML or XML, as a download that asks for a login leaves; fetch the annotations again'),
)


def read_json(path: str) -> dict[str, Any]:
    """The object in a file.

    Raises:
        InputError: not there, empty, of another encoding or format, torn.
    """
    if not os.path.isfile(path):
        where = f'{path}: no such annotation file' if path else 'a data set of COCO format has no ann_file'
        raise InputError(f'{where}; correct data_root and ann_file, or fetch the data set')
    if os.path.getsize(path) == 0:
        raise InputError(f'{path}: is empty (0 bytes); fetch or write it again')
    try:
        content = read_content(path)
    except (ValueError, RecursionError) as error:
        raise InputError(f'{path}: {not_json(path, error)}') from error
    except OSError as error:
        raise InputError(f'{path}: cannot be read ({error.strerror}); correct its permissions') from error
    if not isinstance(content, dict):
        raise InputError(f'{path}: holds a {type(content).__name__} instead of an object; give a COCO instances file')
    return content


def read_content(path: str) -> Any:
    """The content in pieces; where that is not possible as a whole, whose errors name the place."""
    try:
        return read_in_pieces(path)
    except (ValueError, RecursionError):
        with open(path, encoding='utf-8') as file:
            return json.load(file)


def not_json(path: str, error: Exception) -> str:
    """What is wrong with a file that is no JSON, and what to do."""
    with open(path, 'rb') as file:
        head = file.read(4)
    for beginning, said in BEGINNINGS:
        if head.startswith(beginning):
            return said
    if isinstance(error, UnicodeDecodeError):
        return f'is not UTF-8 ({error.object[error.start]:#x} is no character); save it as UTF-8'
    return f'is not whole JSON ({error}), as a torn download leaves; fetch it again'


def read_annotations(path: str, content: dict[str, Any]) -> Annotations:
    """The annotations of a file, at least one.

    Raises:
        InputError: there are none, or one that cannot be read; names it.
    """
    found = content.get('annotations')
    if isinstance(found, Annotations) and len(found):
        return found
    rows = [] if isinstance(found, Annotations) else found
    return arranged(read_rows(path, content | {'annotations': rows}, 'annotations', FIELDS))


def read_rows(path: str, content: dict[str, Any], key: str, fields: Fields) -> Rows:
    """The list at ``key``, not empty, each entry with these fields of these types.

    Raises:
        InputError: something else is there; names the entry and the field.
    """
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
            raise InputError(f'{path}: {key}[{index}] has no {missing!r}; add it, upstream requires it')
    for field, types in fields.items():
        if not {type(row[field]) for row in rows} <= set(types):
            raise InputError(f'{path}: {wrong_type(key, rows, field, types)}')
    return rows


def read_images(path: str, content: dict[str, Any], naming: Naming) -> Rows:
    """The images of a file, each with the ``file_name`` below the image folder that upstream makes of it.

    Raises:
        InputError: see :func:`read_rows`.
    """
    if naming != 'lvis_v1':
        rows = read_rows(path, content, 'images', IMAGE_FIELDS)
        shortened = naming == 'lvis_v0.5'
        return [dict(row, file_name=plain_name(row['file_name'])) for row in rows] if shortened else rows
    fields = {'coco_url' if field == 'file_name' else field: types for field, types in IMAGE_FIELDS.items()}
    rows = read_rows(path, content, 'images', fields)
    return [dict(row, file_name=row['coco_url'].replace(ADDRESS, '')) for row in rows]


def plain_name(name: str) -> str:
    """The name of an image of COCO 2017 for its name of 2014, ``COCO_val2014_...``."""
    return name[-PLAIN_NAME:] if name.startswith('COCO') else name


def wrong_type(key: str, rows: Rows, field: str, types: tuple[type, ...]) -> str:
    """Which entry first has a value of another type."""
    index = next(k for k, row in enumerate(rows) if type(row[field]) not in types)
    value = rows[index][field]
    names = ' or '.join(kind.__name__ for kind in types)
    return f'{key}[{index}] has {field} {str(value)[:40]!r}, a {type(value).__name__}; write {names}'

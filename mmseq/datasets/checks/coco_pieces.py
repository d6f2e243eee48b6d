"""A COCO file read piece by piece, in a fraction of the memory and time that ``json.load`` takes.

The list of annotations is cut where an object ends and the next begins. Such a cut may lie within an object; then what
is before it is no JSON, and another cut is tried. Of each piece arrays are kept.
"""

import importlib
import json
import re
from contextlib import suppress
from typing import Any, BinaryIO

from mmseq.datasets.checks.coco_annotations import Annotations, arranged, joined

orjson: Any = None
# The extra `fast`.
with suppress(ImportError):
    orjson = importlib.import_module('orjson')

PIECE = 2**20
BEGIN = re.compile(rb'"annotations"\s*:\s*\[')
# An object's end and the next one's beginning: a few of them before the end of a piece are tried.
CUT = re.compile(rb'\}\s*,\s*(?=\{)')
NEAR_END, TRIED = 2**16, 8


class NotInPiecesError(ValueError):
    """The file is to be read as a whole: it is torn, or has no list of annotations at its top."""


def read_in_pieces(path: str) -> Any:
    """The content of a file, its annotations as `Annotations`.

    Raises:
        ValueError: it has to be read as a whole; so has a file with an annotation that no check can read.
    """
    with open(path, 'rb') as file:
        head, begun = before_annotations(file)
        annotations, tail = read_annotations(file, begun)
        tail += file.read()
    content = loads(head + b']' + tail)
    if not isinstance(content, dict) or content.get('annotations') != [] or BEGIN.search(tail):
        raise NotInPiecesError('the annotations are elsewhere')
    content['annotations'] = annotations
    return content


def loads(text: bytes) -> Any:
    """JSON as Python's own reader has it, NaN included, which orjson refuses."""
    if orjson is not None:
        try:
            return orjson.loads(text)
        except ValueError:
            pass
    return json.loads(text)


def before_annotations(file: BinaryIO) -> tuple[bytes, bytes]:
    """What comes before the first annotation, and what was read beyond it."""
    head = bytearray()
    while more := file.read(PIECE):
        known = max(len(head) - 64, 0)
        head += more
        if found := BEGIN.search(head, known):
            return bytes(head[: found.end()]), bytes(head[found.end() :])
    raise NotInPiecesError('there is no list of annotations')


def read_annotations(file: BinaryIO, buffer: bytes) -> tuple[Annotations, bytes]:
    """The annotations, and what was read beyond the bracket that ends them."""
    found: list[Annotations] = []
    while True:
        more = file.read(PIECE)
        buffer += more
        booleans = b'true' in buffer or b'false' in buffer
        if (piece := first_piece(buffer)) is not None:
            rows, buffer = piece
        elif (end := end_of_list(buffer)) is not None:
            last = arranged(loads(b'[' + buffer[:end] + b']'), booleans)
            return joined([*found, last]), buffer[end + 1 :]
        elif more:
            continue
        else:
            raise NotInPiecesError('the file is torn')
        found.append(arranged(rows, booleans))


def first_piece(buffer: bytes) -> tuple[list[Any], bytes] | None:
    """Whole objects, and what follows them; None if no cut near the end lies between two of them."""
    for cut in list(CUT.finditer(buffer, max(len(buffer) - NEAR_END, 0)))[: -TRIED - 1 : -1]:
        try:
            return loads(b'[' + buffer[: cut.start() + 1] + b']'), buffer[cut.end() :]
        except ValueError:
            continue
    return None


def end_of_list(buffer: bytes) -> int | None:
    """Where the bracket is that ends the list; None if it is not there yet."""
    try:
        # Of another alphabet, but each byte a character.
        return json.JSONDecoder().raw_decode('[' + buffer.decode('latin-1'))[1] - 2
    except ValueError:
        return None

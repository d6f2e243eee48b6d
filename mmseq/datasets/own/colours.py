"""Tables of colours and names for label maps: of files, of well-known data sets, and of the colours found."""

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mmseq.datasets.own.card import IGNORED
from mmseq.datasets.own.text import read_lines
from mmseq.datasets.own.tree import Tree
from mmseq.errors import InputError

Colour = tuple[int, int, int]
# Tables that tools and data sets put beside their label maps, and lists of names.
TABLES = ('labelmap.txt', 'class_dict.csv', 'label_colors.txt', 'label_colours.txt', 'colors.txt', 'colours.txt')
LISTS, NUMBERED = ('classes.txt', 'class_names.txt', 'labels.txt', 'codes.txt'), '_classes.csv'
# Number, number in training or 255, colour and name of Cityscapes' classes, as its label maps have them.
CITYSCAPES: tuple[tuple[int, int, Colour, str], ...] = (
    (7, 0, (128, 64, 128), 'road'),
    (8, 1, (244, 35, 232), 'sidewalk'),
    (11, 2, (70, 70, 70), 'building'),
    (12, 3, (102, 102, 156), 'wall'),
    (13, 4, (190, 153, 153), 'fence'),
    (17, 5, (153, 153, 153), 'pole'),
    (19, 6, (250, 170, 30), 'traffic light'),
    (20, 7, (220, 220, 0), 'traffic sign'),
    (21, 8, (107, 142, 35), 'vegetation'),
    (22, 9, (152, 251, 152), 'terrain'),
    (23, 10, (70, 130, 180), 'sky'),
    (24, 11, (220, 20, 60), 'person'),
    (25, 12, (255, 0, 0), 'rider'),
    (26, 13, (0, 0, 142), 'car'),
    (27, 14, (0, 0, 70), 'truck'),
    (28, 15, (0, 60, 100), 'bus'),
    (31, 16, (0, 80, 100), 'train'),
    (32, 17, (0, 0, 230), 'motorcycle'),
    (33, 18, (119, 11, 32), 'bicycle'),
)
# Its colours that no class is trained for.
CITYSCAPES_IGNORED: tuple[Colour, ...] = (
    (0, 0, 0),
    (111, 74, 0),
    (81, 0, 81),
    (250, 170, 160),
    (230, 150, 140),
    (180, 165, 180),
    (150, 100, 100),
    (150, 120, 90),
    (0, 0, 90),
    (0, 0, 110),
)
VOC = [
    'background',
    'aeroplane',
    'bicycle',
    'bird',
    'boat',
    'bottle',
    'bus',
    'car',
    'cat',
    'chair',
    'cow',
    'diningtable',
    'dog',
    'horse',
    'motorbike',
    'person',
    'pottedplant',
    'sheep',
    'sofa',
    'train',
    'tvmonitor',
]
# Names of what is no class.
VOID = frozenset(('void', 'unlabelled', 'unlabeled', 'ignore', 'ignored', '__ignore__', 'unknown'))


@dataclass(frozen=True)
class Table:
    """Which class each colour is.

    Args:
        where: where it comes from, in words.
        numbers: class, or 255 for none, by colour.
        names: of the classes.
        palette: their colours.
    """

    where: str
    numbers: Mapping[Colour, int]
    names: tuple[str, ...]
    palette: tuple[Colour, ...]


def table_for(tree: Tree, file: Path | None) -> Table | None:
    """The table that the user gives, or one that lies among the label maps.

    Raises:
        InputError: the given file is no table of colours.
    """
    if file is not None:
        return read_table(file)
    for name in TABLES:
        for path in tree.others:
            if path.name.lower() == name and all(map(_row, _rows(path))):
                return read_table(path)
    return None


def names_in(tree: Tree) -> list[str]:
    """The names in a list among the label maps, in the order of their values, or none."""
    for name in (*LISTS, NUMBERED):
        for path in tree.others:
            if path.name.lower() == name and (names := (_numbered if name == NUMBERED else _listed)(path)):
                return names
    return []


def _listed(path: Path) -> list[str]:
    """One name in a line; LabelMe's converter begins with a class of its own for what is ignored."""
    return [line.strip('_') for line in read_lines(path) if line != '__ignore__']


def _numbered(path: Path) -> list[str]:
    """Lines of a value and a name, as Roboflow writes them; none in its file of the same name for whole images."""
    head, *rows = (line.split(',', 1) for line in read_lines(path))
    names = {row[0].strip(): row[1].strip() for row in rows if len(row) == 2}
    whole = head[0].strip().lower() == 'pixel value' and list(names) == [str(k) for k in range(len(names))]
    return list(names.values()) if whole else []


def read_table(path: Path) -> Table:
    """A text with a colour and a name in each line, in any order: ``255 0 0 car``, ``car,255,0,0``, ``car:255,0,0::``.

    Raises:
        InputError: a line has no three numbers and a name, or a colour has two names.
    """
    numbers: dict[Colour, int] = {}
    names: dict[str, Colour] = {}
    order: dict[str, int] = {}
    for line in _rows(path):
        row = _row(line)
        if row is None:
            raise InputError(f'{path}: {line!r} is no colour and name; write lines as "255 0 0 car"')
        colour, name = row
        if colour in numbers:
            raise InputError(f'{path}: colour {colour} occurs twice; give each class a colour of its own')
        void = name.lower() in VOID
        numbers[colour] = IGNORED if void else order.setdefault(name, len(order))
        if not void:
            names.setdefault(name, colour)
    if not names:
        raise InputError(f'{path}: names no class; write lines as "255 0 0 car"')
    return Table(path.name, numbers, tuple(names), tuple(names.values()))


def cityscapes() -> Table:
    """Cityscapes' own."""
    numbers = dict.fromkeys(CITYSCAPES_IGNORED, IGNORED) | {colour: number for _, number, colour, _ in CITYSCAPES}
    names, palette = zip(*((name, colour) for _, _, colour, name in CITYSCAPES))
    return Table("Cityscapes' colours", numbers, names, palette)


def found_table(counts: Mapping[Colour, int]) -> Table:
    """One class for each colour that was found, black first as the background, then the most frequent."""
    order = sorted(counts, key=lambda colour: (any(colour), -counts[colour], colour))
    names = [f'#{r:02x}{g:02x}{b:02x}' if any((r, g, b)) else 'background' for r, g, b in order]
    return Table('the colours found', {colour: k for k, colour in enumerate(order)}, tuple(names), tuple(order))


def _rows(path: Path) -> list[str]:
    lines = [line for line in read_lines(path) if not line.startswith('#') or re.match(r'#[0-9a-fA-F]{6}\b', line)]
    heads = ('name,r,g,b', 'r,g,b,name', 'name r g b', 'r g b name')
    return [line for line in lines if re.sub(r',\s+', ',', line.lower()) not in heads]


def _row(line: str) -> tuple[Colour, str] | None:
    """The colour and the name in a line."""
    if hexadecimal := re.fullmatch(r'(.*?)[\s,:]*#([0-9a-fA-F]{6})\b[\s,:]*(.*)', line):
        value, name = hexadecimal[2], (hexadecimal[1] + hexadecimal[3]).strip()
        return ((int(value[:2], 16), int(value[2:4], 16), int(value[4:], 16)), name) if name else None
    words = next(csv.reader([line.replace('\t', ' ')]))
    if len(words) < 4:
        words = re.split(r'[\s,:]+', line)
    words = [part.strip() for word in words for part in word.split(':') if part.strip()]
    if len(words) < 4:
        return None
    for colour, rest in ((words[:3], words[3:]), (words[1:4], words[:1]), (words[-3:], words[:-3])):
        if all(word.isdecimal() and int(word) < 256 for word in colour):
            red, green, blue = map(int, colour)
            return (red, green, blue), ' '.join(rest)
    return None

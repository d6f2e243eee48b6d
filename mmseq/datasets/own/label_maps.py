"""Label maps: indices, palettes, black and white, 16 bits and colours, beside their images.

All are looked through first, since only together they tell what they are. What is written has one byte for each pixel:
classes from 0 on, and 255 for what does not count.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from mmseq.datasets.checks.images import UNREADABLE, DamagedFileError, decode
from mmseq.datasets.formats import open_image
from mmseq.datasets.own import colours
from mmseq.datasets.own.card import IGNORED
from mmseq.datasets.own.colours import Colour, Table
from mmseq.datasets.own.pairs import Pair, find_pairs, guessed_pairs, named_pairs
from mmseq.datasets.own.source import Labelled, Notes, Scheme, Source, read_each
from mmseq.datasets.own.tree import Tree
from mmseq.errors import InputError

NAME = 'label maps'
# Grey levels for classes lie at least so far apart, as 0, 128, 255.
LEVELS = 20
# Colours above this number are a photograph, or smoothed edges.
COLOURS = 60
# A pixel of a lossy file is of the colour that lies no further than this in any channel.
LOSSY = 40
# Rarer colours of lossy files lie on edges.
RARE = 0.01
# So many of the pixels of a smoothed black-and-white drawing are black or white.
MOSTLY = 0.9
# Values of a smoothed drawing lie everywhere; classes end far below the value that is ignored.
SMOOTH, SMOOTHED = range(200, 255), 8
MIDDLE, WHITE, DEEP = 128, 255, 65535
ADE, VOC_FOLDER = 'adechallengedata2016', re.compile(r'voc(?:20\d\d|devkit)')


@dataclass
class Seen:
    """What is in the label maps together.

    Attributes:
        values: pixels of each value, of the maps of one channel.
        tints: pixels of each packed colour, of those of three.
        palette: the colours that each value has in the palettes of the files.
        paths: of the maps.
    """

    paths: Sequence[Path]
    values: Counter[int] = field(default_factory=Counter)
    tints: Counter[int] = field(default_factory=Counter)
    palette: dict[int, set[Colour]] = field(default_factory=dict)

    @property
    def lossy(self) -> bool:
        """Whether one is a JPEG."""
        return any(path.suffix.lower() in ('.jpg', '.jpeg', '.jfif', '.webp') for path in self.paths)

    def colours_of_values(self) -> dict[int, Colour]:
        """The colour of each value, where the files have a palette."""
        return {value: next(iter(tints)) for value, tints in self.palette.items()}


@dataclass(frozen=True)
class Meaning:
    """What the values mean.

    Args:
        what: in words.
        numbers: the class, or 255 for none, by value or by packed colour.
        names: of the classes.
        palette: of the classes, or empty.
        coloured: whether the values are packed colours.
        more: whether there may be more classes than the values seen.
    """

    what: str
    numbers: Mapping[int, int]
    names: tuple[str, ...]
    palette: tuple[Colour, ...] = ()
    coloured: bool = False
    more: bool = False


def find(tree: Tree) -> list[Pair]:
    """Images with pictures that are called label maps."""
    return named_pairs(tree, Notes())


def guess(tree: Tree) -> list[Pair]:
    """Images with pictures that may be label maps, where there are no other labels."""
    return guessed_pairs(tree, Notes())


def read(
    tree: Tree, pairs: Sequence[Pair], classes: Sequence[str], table: Path | None = None, ignored: Sequence[int] = ()
) -> Source:
    """Look through the label maps and decide what they are.

    Args:
        tree: the source's files.
        pairs: images with their label maps.
        classes: names for the values, or empty.
        table: a text with the names of colours.
        ignored: values that are no class.

    Raises:
        InputError: some cannot be read, nothing fits what they hold, or none holds a value to ignore.
    """
    notes = Notes()
    # Once more, for what was left out.
    find_pairs(tree, notes)
    seen = _look([label for _, label in pairs])
    _take_out(seen, ignored, notes, tree)
    given = colours.table_for(tree, table)
    if seen.tints:
        meaning = _of_colours(seen, given, notes, tree)
    else:
        meaning = _well_known(seen, classes) or _of_values(seen, given, notes, tree)
    meaning = _named(meaning, classes or colours.names_in(tree), tree)
    meaning = replace(meaning, numbers={value: k for value, k in meaning.numbers.items() if value not in ignored})
    images = [Labelled(image, label, part=tree.part_of(image) or tree.part_of(label)) for image, label in pairs]
    scheme = Scheme(lambda path: _classes(path, meaning), meaning.palette)
    return Source(NAME, f'{len(pairs)} pairs, {meaning.what}', meaning.names, images, notes, scheme=scheme)


def _take_out(seen: Seen, ignored: Sequence[int], notes: Notes, tree: Tree) -> None:
    """Forget the values that the user has for no class."""
    if ignored and seen.tints:
        raise InputError(f'{tree.named}: they hold colours; --colours FILE ignores those that it does not name')
    for value in ignored:
        if value not in seen.values:
            listed = ', '.join(map(str, sorted(seen.values)[:12]))
            raise InputError(f'{tree.named}: --ignore {value}: no label map holds it; they hold {listed}')
        notes.add(f'pixels of {value}, which are ignored', count=seen.values.pop(value))
    if ignored and not seen.values:
        raise InputError(f'{tree.named}: --ignore leaves no value for a class')


def load(path: Path, tinted: bool = False) -> tuple[np.ndarray, dict[int, Colour]]:
    """The values (H, W) of a label map, or its packed colours (H, W, 1), and the colours of a palette's values.

    Args:
        path: the file.
        tinted: take the colours of a palette instead of its values.

    Raises:
        InputError: it cannot be read, or holds fractions.
    """
    try:
        with open_image(path) as image:
            image.load()
            if image.mode == 'P' and not tinted:
                flat = image.getpalette('RGB') or []
                values = np.asarray(image).astype(np.int32)
                return values, {value: _colour(flat, value) for value in np.unique(values).tolist()}
            plain = image.mode in ('1', 'L', 'I', 'F', 'RGB', 'RGBA') or image.mode.startswith('I;16')
            values = np.asarray(image if plain else image.convert('L' if image.mode == 'LA' else 'RGB'))
    except UNREADABLE as error:
        raise InputError(f'{path}: cannot be read as a label map ({_reason(path, error)})') from error
    if values.dtype.kind not in 'uib':
        raise InputError(f'{path}: holds fractions; write the class number per pixel')
    if values.ndim == 2:
        return values.astype(np.int32), {}
    red, green, blue = (values[:, :, k].astype(np.int32) for k in range(3))
    grey = np.array_equal(red, green) and np.array_equal(green, blue)
    return (red if grey else (red << 16 | green << 8 | blue)[:, :, None]), {}


def _reason(path: Path, error: Exception) -> str:
    """What the data check says of a file, or what its reader said."""
    try:
        decode(str(path), labels=True)
    except DamagedFileError as damage:
        return str(damage).removeprefix(f'{path}: ')
    return ' '.join(str(error).split())


def _runs(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The value and the length of each run of equal values: far fewer than pixels, as label maps are."""
    flat = values.ravel()
    starts = np.concatenate(([0], np.flatnonzero(flat[1:] != flat[:-1]) + 1))
    return flat[starts], np.diff(starts, append=flat.size)


def _colour(flat: Sequence[int], value: int) -> Colour:
    red, green, blue = (*flat[3 * value : 3 * value + 3], 0, 0, 0)[:3]
    return red, green, blue


def _look(paths: Sequence[Path], tinted: bool = False) -> Seen:
    def count(path: Path) -> tuple[bool, np.ndarray, np.ndarray, dict[int, Colour]]:
        values, palette = load(path, tinted)
        runs, lengths = _runs(values)
        found, places = np.unique(runs, return_inverse=True)
        return values.ndim == 3, found, np.bincount(places, lengths).astype(np.int64), palette

    seen = Seen(paths)
    for coloured, values, pixels, palette in read_each(paths, count, 'label maps', threads=True):
        (seen.tints if coloured else seen.values).update(dict(zip(values.tolist(), pixels.tolist())))
        for value, colour in palette.items():
            seen.palette.setdefault(value, set()).add(colour)
    # Each file of some tools has a palette of its own: then the colours are the classes.
    if any(len(tints) > 1 for tints in seen.palette.values()):
        return _look(paths, tinted=True)
    return seen


def _of_values(seen: Seen, table: Table | None, notes: Notes, tree: Tree) -> Meaning:
    values = sorted(seen.values)
    tints = seen.colours_of_values()
    if table and tints and all(colour in table.numbers for colour in tints.values()):
        numbers = {value: table.numbers[colour] for value, colour in tints.items()}
        return Meaning(f'a palette with names of {table.where}', numbers, table.names, table.palette)
    if len(values) == 1:
        raise InputError(
            f'{tree.named}: all {len(seen.paths)} label maps hold nothing but {values[0]}; nothing is labelled'
        )
    binary = len(values) == 2 and values[0] == 0 and not table and not colours.names_in(tree)
    if binary:
        return Meaning(f'black and white (0 and {values[1]})', {0: 0, values[1]: 1}, ('background', 'foreground'))
    if _is_smoothed(seen.values):
        between = sum(count for value, count in seen.values.items() if 0 < value < WHITE)
        notes.add('pixels of smoothed edges, which are foreground from grey 128 on', count=between)
        numbers = {value: int(value >= MIDDLE) for value in range(WHITE + 1)}
        return Meaning('black and white with smoothed edges', numbers, ('background', 'foreground'))
    if len(values) <= 256 // LEVELS and min(np.diff(values)) >= LEVELS and len(values) > 2:
        return _ranked('grey levels', values, 'grey')
    return _of_indices(seen, values, table, notes, tree)


def _is_smoothed(pixels: Mapping[int, int]) -> bool:
    """Whether black and white make up nearly all, and grey of every kind the rest."""
    if max(pixels) > WHITE or sum(value in pixels for value in SMOOTH) < SMOOTHED:
        return False
    near = sum(count for value, count in pixels.items() if min(value, WHITE - value) <= LEVELS)
    return near >= MOSTLY * sum(pixels.values())


def _ranked(what: str, values: Sequence[int], word: str) -> Meaning:
    """One class for each value."""
    names = ['background' if value == 0 else f'{word} {value}' for value in values]
    return Meaning(what, {value: k for k, value in enumerate(values)}, tuple(names))


def _of_indices(seen: Seen, values: Sequence[int], table: Table | None, notes: Notes, tree: Tree) -> Meaning:
    void = {value for value in (WHITE, DEEP) if value in values}
    plain = [value for value in values if value not in void]
    if not plain or plain[-1] > IGNORED:
        if len(values) > IGNORED:
            raise InputError(
                f'{tree.named}: the label maps hold {len(values)} different values up to {values[-1]}, more than the '
                '255 classes that can be trained; are they numbers of objects instead of classes?'
            )
        return _ranked(f'values up to {values[-1]}, one class each', values, 'class')
    for value in sorted(void):
        notes.add(f'pixels of {value}, which are ignored', count=seen.values[value])
    # Where 0 never occurs, the first class is 1.
    listed = len(table.names if table else colours.names_in(tree))
    first = 1 if plain[0] > 0 and listed in (0, plain[-1]) else 0
    if first:
        notes.add('label maps count classes from 1, which becomes 0; maps', count=len(seen.paths))
    names = tuple('background' if value == 0 else f'class {value}' for value in range(first, plain[-1] + 1))
    numbers = {value: value - first for value in range(first, IGNORED)}
    tints = seen.colours_of_values()
    palette = tuple(tints[value] for value in range(first, plain[-1] + 1) if value in tints)
    # Only whole palettes of colours that differ are of use.
    palette = palette if len(set(palette)) == len(names) else ()
    bits = ' of 16 bits' if DEEP in void else ''
    what = f'indices {plain[0]} to {plain[-1]}{bits}'
    return Meaning(
        what, numbers, table.names if table and len(table.names) >= len(names) else names, palette, more=True
    )


def _well_known(seen: Seen, classes: Sequence[str]) -> Meaning | None:
    """Cityscapes, ADE20K and Pascal VOC, by the names of their files and folders."""
    paths, plain = seen.paths, sorted(value for value in seen.values if value < WHITE)
    names = tuple(name for *_, name in colours.CITYSCAPES)
    palette = tuple(colour for _, _, colour, _ in colours.CITYSCAPES)
    if all(path.stem.lower().endswith('labeltrainids') for path in paths):
        return Meaning("Cityscapes' labelTrainIds", {k: k for k in range(len(names))}, names, palette)
    if all(path.stem.endswith('gtFine_labelIds') or path.stem.endswith('gtCoarse_labelIds') for path in paths):
        numbers = {value: number for value, number, *_ in colours.CITYSCAPES}
        return Meaning("Cityscapes' labelIds", numbers, names, palette)
    folders = {part.lower() for part in paths[0].parts}
    if ADE in folders and plain:
        from mmseg.datasets import ADE20KDataset

        ours = tuple(name.strip() for name in ADE20KDataset.METAINFO['classes'])
        names = tuple(classes) or ours
        others = len(names) != len(ours)
        # Other classes in its layout begin at 1, too, unless there is a name for 0.
        if plain[-1] <= len(names) and not (others and len(names) == plain[-1] + 1):
            numbers = {value: value - 1 for value in range(1, len(names) + 1)}
            return Meaning(f'{"the layout of " if others else ""}ADE20K, 0 ignored', numbers, names)
    if any(map(VOC_FOLDER.search, folders)) and plain and plain[-1] < len(colours.VOC):
        return Meaning('Pascal VOC', {k: k for k in range(len(colours.VOC))}, tuple(colours.VOC))
    return None


def _of_colours(seen: Seen, table: Table | None, notes: Notes, tree: Tree) -> Meaning:
    # Maps of nothing but grey were read as one channel.
    pixels = {_unpacked(value): count for value, count in seen.tints.items()}
    for value, count in seen.values.items():
        pixels[value, value, value] = pixels.get((value, value, value), 0) + count
    ours = colours.cityscapes()
    if table is None and len(pixels) > 2 and set(pixels) <= set(ours.numbers):
        table = ours
    if table is None:
        table = _found_table(_distinct(pixels) if seen.lossy else pixels, notes, tree)
    numbers = _numbers(pixels, table, seen.lossy, notes, tree)
    return Meaning(f'colours, by {table.where}', numbers, table.names, table.palette, coloured=True)


def _found_table(pixels: Mapping[Colour, int], notes: Notes, tree: Tree) -> Table:
    """A class for each colour, if these can be classes."""
    if len(pixels) > COLOURS:
        most = ', '.join(str(colour) for colour, _ in Counter(pixels).most_common(4))
        raise InputError(
            f'{tree.named}: the label maps hold {len(pixels)} colours, most often {most}; say which are classes by '
            '--colours FILE with a line such as "255 0 0 car" for each'
        )
    table = colours.found_table(pixels)
    for colour, number in table.numbers.items():
        notes.add(f'colour {colour} is class {table.names[number]!r}; pixels', count=pixels[colour])
    return table


def _distinct(pixels: Mapping[Colour, int]) -> dict[Colour, int]:
    """The colours of lossy files that others are shades of, with the pixels of all their shades."""
    kept: dict[Colour, int] = {}
    for colour, count in Counter(pixels).most_common():
        near = next((one for one in kept if max(abs(a - b) for a, b in zip(one, colour)) <= LOSSY), None)
        if near is not None:
            kept[near] += count
        elif count >= RARE * sum(pixels.values()):
            kept[colour if max(colour) > LOSSY else (0, 0, 0)] = count
    return kept


def _numbers(pixels: Mapping[Colour, int], table: Table, lossy: bool, notes: Notes, tree: Tree) -> dict[int, int]:
    """The class of every colour that was seen."""
    numbers, unknown = {}, 0
    listed = np.array(list(table.numbers))
    for colour, count in pixels.items():
        number = table.numbers.get(colour)
        if number is None and lossy:
            apart = np.abs(listed - colour).max(1)
            number = list(table.numbers.values())[int(apart.argmin())] if apart.min() <= LOSSY else None
        if number is None:
            notes.add(f'pixels whose colour is not in {table.where}, ignored', str(colour), count)
            unknown += count
        numbers[_packed(colour)] = IGNORED if number is None else number
    if 2 * unknown > sum(pixels.values()):
        share = unknown / sum(pixels.values())
        where = f'{tree.named}: {share:.0%} of the pixels have colours that are not in {table.where}'
        raise InputError(f'{where}; give another --colours')
    return numbers


def _packed(colour: Colour) -> int:
    return colour[0] << 16 | colour[1] << 8 | colour[2]


def _unpacked(value: int) -> Colour:
    return value >> 16, value >> 8 & 255, value & 255


def _named(meaning: Meaning, names: Sequence[str], tree: Tree) -> Meaning:
    """With the names that the user or a list gives, which may leave out the background."""
    count = len(meaning.names)
    if not names:
        return meaning
    if len(names) == count or (meaning.more and len(names) > count):
        return replace(meaning, names=tuple(names), palette=meaning.palette if len(names) == count else ())
    if len(names) == count - 1 and meaning.names[0] == 'background':
        return replace(meaning, names=('background', *names))
    listed = ', '.join(meaning.names[:8])
    raise InputError(
        f'{tree.named}: {len(names)} names for label maps of {count} classes ({listed}); name each of them once'
    )


def _classes(path: Path, meaning: Meaning) -> np.ndarray:
    """The classes (H, W) of a label map, as bytes."""
    values, _ = load(path, tinted=meaning.coloured)
    if meaning.coloured and values.ndim == 2:
        values = values * 0x010101
    runs, lengths = _runs(values)
    found, places = np.unique(runs, return_inverse=True)
    numbers = np.array([meaning.numbers.get(value, IGNORED) for value in found.tolist()], np.uint8)
    return np.repeat(numbers[places], lengths).reshape(values.shape[:2])

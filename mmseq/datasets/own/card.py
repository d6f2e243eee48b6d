"""A data card: a small YAML file that says what a data set is, so that any config of its task can train on it.

    name: yard
    task: instances                 # boxes, instances or semantic
    classes: [cat, dog]
    train: {images: ../photos, labels: train.json}
    val: {images: ../photos, labels: val.json}

Labels are a file of COCO json for boxes and instances, and a folder of label maps for semantic segmentation, where the
card may say more: ``ignore_index`` (255), ``reduce_zero_label`` (0 is no class but unlabelled), and for each part
``image_suffix`` and ``label_suffix`` (.jpg and .png). Paths are relative to the card's folder, or absolute.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

from mmseq import files
from mmseq.errors import InputError

Task = Literal['boxes', 'instances', 'semantic']
TASKS: tuple[Task, ...] = get_args(Task)
PARTS = ('train', 'val', 'test')
IGNORED = 255


@dataclass(frozen=True)
class Part:
    """The images of one part of a data set and their labels.

    Args:
        images: their folder; in COCO json, ``file_name`` is relative to it.
        labels: a COCO json file, or the folder of label maps.
        image_suffix: of the images of label maps.
        label_suffix: of label maps; a map has the name of its image but for the suffix.
    """

    images: Path
    labels: Path
    image_suffix: str = '.jpg'
    label_suffix: str = '.png'


@dataclass(frozen=True)
class Card:
    """What a data set is. A card that was read stands for its file wherever a path is taken.

    Args:
        name: of the data set.
        task: what its labels are.
        classes: their names, in the order of the labels; of label maps, the name of value 0 first.
        train: the images to train on.
        val: those to choose checkpoints by.
        test: those for final figures; ``mmseq test`` takes ``val`` where there are none.
        palette: a colour (red, green, blue) for each class, or none to have colours chosen.
        ignore_index: the value of pixels that count for nothing, of label maps.
        reduce_zero_label: whether 0 in label maps is unlabelled and the first class is 1.
        file: that it was read from.
    """

    name: str
    task: Task
    classes: tuple[str, ...]
    train: Part
    val: Part
    test: Part | None = None
    palette: tuple[tuple[int, int, int], ...] = field(default=())
    ignore_index: int = IGNORED
    reduce_zero_label: bool = False
    file: Path | None = field(default=None, compare=False)

    def __fspath__(self) -> str:
        """Its file.

        Raises:
            InputError: it was not read from one.
        """
        if self.file is None:
            raise InputError(f'data card {self.name}: is in no file; write it with write_card, and give the path')
        return str(self.file)

    @property
    def parts(self) -> dict[str, Part]:
        """Its parts by name."""
        return {name: part for name in PARTS if (part := getattr(self, name)) is not None}


def read_card(path: str | Path) -> Card:
    """Read a data card and look whether what it names is there.

    Raises:
        InputError: it cannot be read, is no card, or names what is absent; one line.
    """
    path = Path(path)
    card = _card(_values(path), path)
    for name, part in card.parts.items():
        for key in ('images', 'labels'):
            found = getattr(part, key)
            file = key == 'labels' and card.task != 'semantic'
            if not (found.is_file() if file else found.is_dir()):
                kind = 'file' if file else 'folder'
                raise InputError(f'data card {path}: {name}.{key}: there is no {kind} {found}; import the data again')
    return replace(card, file=Path(os.path.abspath(path)))


def write_card(path: str | Path, card: Card) -> Path:
    """Write a data card; what lies in its folder is named relative to it, so that both can be moved together."""
    path = Path(path)
    value: dict[str, Any] = dict(name=card.name, task=card.task, classes=list(card.classes))
    if card.palette:
        value['palette'] = [list(colour) for colour in card.palette]
    if card.task == 'semantic':
        value |= dict(ignore_index=card.ignore_index, reduce_zero_label=card.reduce_zero_label)
    for name, part in card.parts.items():
        value[name] = dict(images=_named(part.images, path), labels=_named(part.labels, path))
        if card.task == 'semantic':
            value[name] |= dict(image_suffix=part.image_suffix, label_suffix=part.label_suffix)
    return files.write_yaml(path, value)


def _named(target: Path, card: Path) -> str:
    """The path of a file or folder as its card names it."""
    # Links stay as they are named: they are what a user moves.
    target, folder = Path(os.path.abspath(target)), Path(os.path.abspath(card)).parent
    return (target.relative_to(folder) if target.is_relative_to(folder) else target).as_posix()


def _values(path: Path) -> dict[str, Any]:
    import yaml

    try:
        value = yaml.safe_load(path.read_text(encoding='utf-8'))
    except FileNotFoundError:
        raise InputError(f'data card {path}: no such file; mmseq import-data writes one') from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise InputError(f'data card {path}: cannot be read: {" ".join(str(error).split())}') from error
    if not isinstance(value, dict) or 'task' not in value:
        raise InputError(f'data card {path}: is no data card, which has a task; mmseq import-data writes one')
    return value


def _card(value: dict[str, Any], path: Path) -> Card:
    """The card of what a file holds."""
    _check_keys(value, Card, path, '')
    if value['task'] not in TASKS:
        raise InputError(f'data card {path}: task {value["task"]!r} is none of {", ".join(TASKS)}')
    classes = _classes(value['classes'], path)
    value = dict(value, name=str(value['name']), classes=classes)
    value['palette'] = _palette(value.get('palette') or (), len(classes), path)
    _check_types(value, path)
    for name in PARTS:
        if name != 'test' or value.get(name) is not None:
            value[name] = _part(value[name], path, name)
    return Card(**value)


def _part(value: Any, path: Path, name: str) -> Part:
    if not isinstance(value, dict):
        raise InputError(f'data card {path}: {name} has no images and labels')
    _check_keys(value, Part, path, f'{name}.')
    for key, text in value.items():
        if not isinstance(text, str) or not text:
            raise InputError(f'data card {path}: {name}.{key} is {text!r}; expected a text')
    found = {key: Path(os.path.abspath(path.parent / value[key])) for key in ('images', 'labels')}
    return Part(**dict(value, **found))


def _check_keys(value: Mapping[str, Any], kind: type[Card] | type[Part], path: Path, prefix: str) -> None:
    known = {one.name for one in fields(kind) if one.compare}
    needed = {'name', 'task', 'classes', 'train', 'val'} if kind is Card else {'images', 'labels'}
    if unknown := sorted(map(str, set(value) - known)):
        listed = ', '.join(prefix + key for key in unknown)
        raise InputError(f'data card {path}: unknown {listed}; known are {", ".join(sorted(known))}')
    if missing := sorted(needed - set(value)):
        raise InputError(f'data card {path}: {", ".join(prefix + key for key in missing)} is missing')


def _classes(value: Any, path: Path) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise InputError(f'data card {path}: classes is {value!r}; expected a list of names')
    # YAML reads a class that is called no, or 7, as something else than text.
    if wrong := [name for name in value if not isinstance(name, str) or not name.strip()]:
        raise InputError(f'data card {path}: classes has {wrong[0]!r}, which is no name; put it in quotes')
    if len(set(value)) < len(value):
        twice = next(name for name in value if value.count(name) > 1)
        raise InputError(f'data card {path}: classes has {twice!r} twice')
    return tuple(value)


def _palette(value: Any, classes: int, path: Path) -> tuple[tuple[int, int, int], ...]:
    try:
        colours = tuple((int(red), int(green), int(blue)) for red, green, blue in value)
    except (TypeError, ValueError):
        colours = ((-1, -1, -1),)
    if colours and (len(colours) != classes or not all(0 <= part <= 255 for colour in colours for part in colour)):
        raise InputError(f'data card {path}: palette has to have {classes} colours, each [red, green, blue] to 255')
    return colours


def _check_types(value: Mapping[str, Any], path: Path) -> None:
    ignored, reduced = value.get('ignore_index', IGNORED), value.get('reduce_zero_label', False)
    if not isinstance(reduced, bool):
        raise InputError(f'data card {path}: reduce_zero_label is {reduced!r}; expected true or false')
    if isinstance(ignored, bool) or not isinstance(ignored, int) or not 0 <= ignored <= 65535:
        raise InputError(f'data card {path}: ignore_index is {ignored!r}; expected a number to 65535')
    if value['task'] != 'semantic' and not {'ignore_index', 'reduce_zero_label'}.isdisjoint(value):
        raise InputError(f'data card {path}: ignore_index and reduce_zero_label are for task semantic')

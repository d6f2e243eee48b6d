"""The formats that are imported, each with how it is found and read, and which of them a source is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mmseq.datasets.own import coco, cvat, foreign, label_maps, labelme, voc, yolo
from mmseq.datasets.own.card import Task
from mmseq.datasets.own.source import Source
from mmseq.datasets.own.tree import Tree, kinds
from mmseq.errors import InputError


@dataclass(frozen=True)
class Format:
    """A format of labels.

    Args:
        key: its name on the command line.
        name: its name for people.
        looked_for: what it is known by.
        find: what there is of it in a tree; empty for nothing.
        read: of a tree, what was found, and the names of the classes that the user gives.
        guess: what may be of it in a tree without other labels; None: nothing. Only label maps, which have no objects.
    """

    key: str
    name: str
    looked_for: str
    find: Callable[[Tree], Any]
    read: Callable[..., Source]
    guess: Callable[[Tree], Any] | None = None

    @property
    def maps(self) -> bool:
        """Whether its labels are label maps."""
        return self.guess is not None


FORMATS = (
    Format('coco', coco.NAME, '.json with images, annotations and categories', coco.find, coco.read),
    Format('yolo', yolo.NAME, 'data.yaml, or .txt files of numbers beside images', yolo.find, yolo.read),
    Format('voc', voc.NAME, '.xml files of one <annotation> each', voc.find, voc.read),
    Format('labelme', labelme.NAME, '.json files with shapes', labelme.find, labelme.read),
    Format('cvat', cvat.NAME, '.xml with <annotations>', cvat.find, cvat.read),
    Format(
        'maps', label_maps.NAME, 'folders such as images and masks', label_maps.find, label_maps.read, label_maps.guess
    ),
)


def recognise(tree: Tree, task: Task | None = None, key: str | None = None) -> tuple[Format, Any]:
    """The format of a tree, and what was found of it.

    Args:
        tree: the files.
        task: that the labels are for, which may leave one of several formats.
        key: of the format that is wanted.

    Raises:
        InputError: it is none of them, or several.
    """
    wanted = [one for one in FORMATS if key in (None, one.key)]
    found = [(one, what) for one in wanted if (what := one.find(tree))]
    found = found or [(one, what) for one in wanted if one.guess and (what := one.guess(tree))]
    if len(found) > 1 and task is not None:
        found = [(one, what) for one, what in found if one.maps == (task == 'semantic')] or found
    if not found:
        raise InputError(_nothing(tree, wanted))
    if len(found) > 1:
        listed = ', '.join(f'{one.name} ({len(what)})' for one, what in found)
        keys = ' or '.join(f'--format {one.key}' for one, _ in found)
        raise InputError(f'{tree.named}: holds labels of several formats: {listed}; choose with {keys}')
    return found[0]


def _nothing(tree: Tree, formats: Sequence[Format]) -> str:
    if other := foreign.find(tree):
        return f'{tree.named}: {other}'
    looked_for = '; '.join(f'{one.name}: {one.looked_for}' for one in formats)
    archives = [path for path in tree.others if path.suffix.lower() in ('.zip', '.tar', '.gz', '.tgz', '.7z', '.rar')]
    advice = f'unpack {archives[0].name}' if archives else f'there are {kinds([*tree.images, *tree.others])}'
    return f'{tree.named}: no labels that are known; {advice}; looked for {looked_for}'

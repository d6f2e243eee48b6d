"""From a user's labels of any known format to a data card, with COCO json or label maps beside it."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mmseq import files
from mmseq.datasets.own.card import TASKS, Card, Part, Task, read_card, write_card
from mmseq.datasets.own.checking import check_part
from mmseq.datasets.own.preparing import Prepared, prepare
from mmseq.datasets.own.recognise import FORMATS, recognise
from mmseq.datasets.own.source import Labelled, Source
from mmseq.datasets.own.splitting import split
from mmseq.datasets.own.summary import Counts, PixelCounter, Summary, object_counts
from mmseq.datasets.own.tree import Tree
from mmseq.datasets.own.writing import put, usual_suffix, where_they_are, write_coco, write_maps
from mmseq.errors import InputError

CARD, RECORD, SHEET = 'card.yaml', 'import.json', 'sheet.png'
# All that an import and the looking at it write; a folder that holds more is not replaced.
OURS = frozenset((CARD, RECORD, SHEET, 'images', 'train', 'val', 'test', 'train.json', 'val.json', 'test.json'))
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """What the user may say of an import; see :func:`import_data`."""

    task: Task | None
    val: float
    val_from: Path | None
    classes: tuple[str, ...]
    seed: int
    copy: bool
    colours: Path | None
    ignore: tuple[int, ...]
    format: str | None


def import_data(
    sources: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    task: Task | None = None,
    val: float = 0.2,
    val_from: str | Path | None = None,
    classes: Sequence[str] = (),
    seed: int = 0,
    copy: bool = False,
    colours: str | Path | None = None,
    ignore: Sequence[int] = (),
    name: str | None = None,
    format: str | None = None,
    overwrite: bool = False,
    tell: Tell = lambda line: None,
) -> Card:
    """Read labels of any known format and write a data card with COCO json or label maps.

    Args:
        sources: folders or files of one data set.
        out: the folder to write, whole or not at all.
        task: boxes, instances or semantic; None: what the labels are.
        val: share of the images for validation, where the source has no part for it.
        val_from: a source of its own for validation.
        classes: of objects, those to take, in this order; of label maps, the names of the values.
        seed: of the split.
        copy: copy images instead of naming them where they are.
        colours: a text with a colour and a name in each line, for coloured label maps.
        ignore: values of label maps that are no class, beside 255; they become 255.
        name: of the data set; None: that of the folder.
        format: which one to read where there are several, by its key.
        overwrite: replace what an earlier import wrote.
        tell: gets what was recognised, counted and left out, line by line.

    Returns:
        The card, as :func:`~mmseq.datasets.own.card.read_card` reads it from ``out``.

    Raises:
        InputError: the source is of no known format, is damaged, or contradicts itself; nothing is written then.
    """
    given = [sources] if isinstance(sources, (str, Path)) else list(sources)
    options = Options(task, val, _path(val_from), tuple(classes), seed, copy, _path(colours), tuple(ignore), format)
    target = Path(os.path.abspath(out))
    _check(given, options, target, overwrite)
    source = _read(given, options, target)
    tell(f'recognised: {source.format}, {source.found}')
    prepared = prepare(source, task, options.classes)
    parts = split(prepared.images, val, seed, source.notes)
    _refuse_bare(source, prepared, parts)
    with files.whole_folder(target) as draft:
        written, counts = _write(draft, parts, prepared, options)
        about = (name or target.name, prepared.task, prepared.classes)
        card = Card(*about, written['train'], written['val'], written.get('test'), prepared.palette)
        write_card(draft / CARD, card)
        warnings = [line for part in card.parts for line in check_part(card, part, draft, target)]
        summary = Summary(source, card.task, card.classes, counts, warnings)
        files.write_json(draft / RECORD, dict(sources=[os.path.abspath(one) for one in given]) | summary.record())
    for line in summary.lines():
        tell(line)
    return read_card(target / CARD)


def _path(given: str | Path | None) -> Path | None:
    return None if given is None else Path(os.path.abspath(given))


def _check(sources: Sequence[str | Path], options: Options, target: Path, overwrite: bool) -> None:
    """Raises InputError for options that contradict each other or the files that are there."""
    if not sources:
        raise InputError('import-data: no source; name a folder or file of labels')
    if options.task not in (None, *TASKS):
        raise InputError(f'task {options.task!r} is none of {", ".join(TASKS)}')
    if options.format not in (None, *(one.key for one in FORMATS)):
        raise InputError(f'format {options.format!r} is none of {", ".join(one.key for one in FORMATS)}')
    if not 0 < options.val < 1:
        raise InputError(f'val {options.val}: give the share of the images for validation, between 0 and 1')
    if len(set(options.classes)) < len(options.classes):
        raise InputError('classes: a name is given twice; give each once')
    if any(Path(os.path.abspath(source)).is_relative_to(target) for source in sources):
        raise InputError(f'{target}: holds the source; give another folder to write to')
    _check_target(target, overwrite)


def _check_target(target: Path, overwrite: bool) -> None:
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    ours = target.is_dir() and (target / RECORD).is_file() and {path.name for path in target.iterdir()} <= OURS
    if not ours:
        raise InputError(f'{target}: exists and is not only an import, so it is left alone; give another folder')
    if not overwrite:
        raise InputError(f'{target}: holds an import already; give --overwrite or another folder')


def _read(sources: Sequence[str | Path], options: Options, target: Path) -> Source:
    tree = Tree([*sources, *([options.val_from] if options.val_from else [])], without=target)
    format, found = recognise(tree, options.task, options.format)
    if options.colours and not format.maps:
        raise InputError(f'{tree.named}: is {format.name}, which has no colours; leave out --colours')
    if options.ignore and not format.maps:
        raise InputError(f'{tree.named}: is {format.name}, which has no values to ignore; leave out --ignore')
    given = (options.colours, options.ignore) if format.maps else ()
    source = format.read(tree, found, options.classes, *given)
    _refuse_twice(source)
    return replace(source, images=_parts_from(source, options.val_from)) if options.val_from else source


def _parts_from(source: Source, folder: Path) -> list[Labelled]:
    """All images below a folder are for validation, and no others."""
    images = []
    for image in source.images:
        inside = image.labels.is_relative_to(folder) or image.image.is_relative_to(folder)
        images.append(replace(image, part='val' if inside else 'test' if image.part == 'test' else 'train'))
    if not any(image.part == 'val' for image in images):
        raise InputError(f'{folder}: has no labelled images of {source.format} to validate with')
    return images


def _refuse_twice(source: Source) -> None:
    """Raises InputError where an image has two labels in one part."""
    seen: dict[tuple[str, str | None], Labelled] = {}
    twice = []
    for image in source.images:
        other = seen.setdefault((os.path.realpath(image.image), image.part), image)
        if other is not image:
            twice.append((other, image))
    if twice:
        one, other = twice[0]
        raise InputError(
            f'{len(twice)} images have two labels, first {one.image}: in {one.labels} and {other.labels}; keep one'
        )


def _refuse_bare(source: Source, prepared: Prepared, parts: dict[str, list[Labelled]]) -> None:
    """Raises InputError for a part without any object."""
    for part, rows in parts.items():
        if source.scheme is None and not any(image.objects for image in rows):
            raise InputError(
                f'{source.format}, {source.found}: none of the {len(rows)} images for {part} has an object; label '
                'more, or name other images with --val-from'
            )


def _write(
    draft: Path, parts: dict[str, list[Labelled]], prepared: Prepared, options: Options
) -> tuple[dict[str, Part], dict[str, Counts]]:
    """Write the labels of all parts, and images where they do not stay in their place."""
    images = [image for rows in parts.values() for image in rows]
    if prepared.task == 'semantic':
        suffix = usual_suffix(images)
        counters = {part: PixelCounter(prepared) for part in parts}
        written = {
            part: write_maps(draft / part, rows, options.copy, suffix, counters[part].read)
            for part, rows in parts.items()
        }
        return written, {part: counter.counts() for part, counter in counters.items()}
    moved = options.copy or any(image.embedded is not None for image in images)
    place = put(images, draft / 'images', options.copy) if moved else where_they_are(images)
    masks = prepared.task == 'instances'
    written = {
        part: write_coco(draft / f'{part}.json', rows, prepared.classes, place, masks) for part, rows in parts.items()
    }
    return written, {part: object_counts(rows, prepared.classes) for part, rows in parts.items()}

"""What the page says of how robust a run is: tables, and the plots that the measurement drew."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmseq.runs.robustness import AGREEMENT, headlines, read_robustness
from mmseq.runs.robustness_plot import DRAWERS, is_by_size, short

Table = dict[str, Any]


def describe_robustness(folder: Path) -> list[dict[str, Any]]:
    """Of each measurement in a work dir ``title``, ``notes``, ``tables`` and ``pictures``.

    Args:
        folder: the work dir.

    Raises:
        InputError: a file of a measurement that cannot be read.
    """
    return [describe(summary, Path(summary['folder'])) for summary in read_robustness(folder)]


def describe(summary: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """One measurement."""
    words = folder.name.partition('_')[2].replace('_', ' ')
    return dict(
        title=f'{words or "all images"}: {summary["images"]} images, {Path(summary["measured"]["checkpoint"]).name}',
        notes=summary['notes'],
        tables=[table for make in (result_table, corruption_tables, size_table, view_table) for table in make(summary)],
        pictures=[picture(path) for part in DRAWERS if (path := folder / f'{part}.png').is_file()],
    )


def result_table(summary: Mapping[str, Any]) -> list[Table]:
    """The main figures of all parts but the views, which have a table of their own."""
    rows: list[list[Any]] = [['clean', short(name), value] for name, value in summary['main'].items()]
    for name, found in summary.get('corruptions', {}).get('metrics', {}).items():
        rows += [
            ['corruptions', f'{short(name)}, {kind.replace("_", " ")}', found[kind]] for kind in found if 'PC' in kind
        ]
    parts = {part: found for part, found in headlines(summary).items() if part != AGREEMENT}
    rows += [[part, name, value] for part, found in parts.items() for name, value in found.items()]
    return [table('Main figures', [('part', 'name'), ('figure', 'key'), ('value', 'number')], rows)]


def table(title: str, columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[Any]]) -> Table:
    """A table with labels and kinds of its columns, as the page draws it; a bar is full at the largest value."""

    def largest(place: int) -> float:
        return max((row[place] for row in rows if isinstance(row[place], (int, float))), default=1)

    heads = [
        dict(label=label, kind=kind) | (dict(most=largest(place)) if kind == 'bar' else {})
        for place, (label, kind) in enumerate(columns)
    ]
    return dict(title=title, columns=heads, rows=[list(row) for row in rows])


def corruption_tables(summary: Mapping[str, Any]) -> list[Table]:
    """For each main metric, corruptions by severity."""
    tables = []
    for name, found in summary.get('corruptions', {}).get('metrics', {}).items():
        by_name = found['by_corruption']
        severities = sorted({severity for values in by_name.values() for severity in values})
        columns = [('corruption', 'name'), *((severity, 'bar') for severity in severities), ('mean', 'bar')]
        rows = [
            [one.replace('_', ' '), *(values.get(severity) for severity in severities), found['means'].get(one)]
            for one, values in by_name.items()
        ]
        tables.append(table(f'{short(name)} by severity of a corruption', columns, rows))
    return tables


def size_table(summary: Mapping[str, Any]) -> list[Table]:
    """The main metrics by the size of images, and those by size of objects."""
    found = summary.get('resolution')
    if not found:
        return []
    main = list(summary['main'])
    names = [*main, *(name for name in found[0]['metrics'] if is_by_size(name, main))]
    # pycocotools has -1 where there is no object
    values = [[None if (value := row['metrics'].get(name)) == -1 else value for name in names] for row in found]
    columns = [('size of images', 'number'), *((short(name), 'bar') for name in names)]
    return [
        table('Size of images, by that of the test', columns, [[row['factor'], *v] for row, v in zip(found, values)])
    ]


def view_table(summary: Mapping[str, Any]) -> list[Table]:
    """Agreement and the main metrics of each view."""
    found, main = summary.get('consistency'), list(summary['main'])
    if not found:
        return []
    columns = [('view', 'name'), ('agreement (%)', 'bar'), *((short(name), 'bar') for name in main)]
    rows = [
        [view.replace('_', ' '), values['agreement'], *(values['metrics'].get(name) for name in main)]
        for view, values in found.items()
    ]
    return [table('Views, beside the image as it is', columns, rows)]


def picture(path: Path) -> dict[str, str]:
    """A plot as the page holds it."""
    return dict(
        caption=path.stem, source='data:image/png;base64,' + base64.b64encode(path.read_bytes()).decode('ascii')
    )

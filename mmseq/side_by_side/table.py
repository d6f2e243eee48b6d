"""What came of a comparison, as one table: JSON, CSV, Markdown."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmseq.evaluation.spread import STATISTICS
from mmseq.files import write_csv, write_json, write_text
from mmseq.runs.comparison import COSTS, Group, as_markdown, as_text
from mmseq.runs.run import main_metrics, read_runs
from mmseq.side_by_side.candidates import Candidate

NAME = 'compare_backbones'
Row = dict[str, Any]


def row_of(candidate: Candidate, seeds: Path, costs: dict[str, Any], seconds: dict[str, float]) -> Row:
    """One backbone's figures, with what its seeds came to."""
    group = Group(candidate.name, read_runs([seeds]))
    metrics = group.final()
    return dict(
        backbone=candidate.name,
        weights=candidate.weights,
        **costs,
        seconds_per_image=seconds,
        seeds=group.seeds,
        training={name: group.costs().get(name) for name in COSTS},
        metrics=metrics,
        main=main_metrics(metrics),
    )


def readable(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Header and rows for readers; a column without any value, as GPU memory on a CPU, is left out."""
    names = list(dict.fromkeys(name for row in rows for name in row.get('main', ())))
    header = ['backbone', 'weights', 'seeds', 'params M', 'backbone M', 'G madds', 'ms/image', 'peak MB']
    header += ['train s/it', 'train min', 'train MB', *names]
    table = [cells(row, names) for row in rows]
    kept = [i for i in range(len(header)) if any(line[i] != '-' for line in table)]
    return [header[i] for i in kept], [[line[i] for i in kept] for line in table]


def cells(row: Row, names: Sequence[str]) -> list[str]:
    """A row as text; of a training that failed all but its name is missing."""
    training = row.get('training', {})
    per_iteration, seconds, memory = (
        (training.get(name) or {}).get('mean') for name in ('s/iteration', 'training s', 'memory MB')
    )
    return [
        row['backbone'],
        Path(row['weights']).name if 'failed' not in row else 'failed',
        text(len(row['seeds']) if 'seeds' in row else None),
        text(scaled(row.get('parameters'), 1e-6)),
        text(scaled(row.get('backbone_parameters'), 1e-6)),
        text(scaled(row.get('madds'), 1e-9)),
        text(scaled((row.get('seconds_per_image') or {}).get('median'), 1000)),
        text(scaled(row.get('peak_bytes'), 2**-20)),
        text(per_iteration),
        text(scaled(seconds, 1 / 60)),
        text(memory),
        *(as_text(row.get('metrics', {}).get(name)) for name in names),
    ]


def scaled(value: float | None, factor: float) -> float | None:
    """A figure in another unit, if there is one."""
    return None if value is None else value * factor


def text(value: float | None) -> str:
    """Four digits, or a dash."""
    return '-' if value is None else f'{value:.4g}'


def write_table(folder: Path, about: dict[str, Any], rows: Sequence[Row]) -> None:
    """Write all figures as JSON and CSV, and the readable ones as Markdown."""
    write_json(folder / f'{NAME}.json', dict(**about, rows=rows))
    metrics = list(dict.fromkeys(name for row in rows for name in row.get('metrics', ())))
    plain = ['backbone', 'weights', 'failed', 'height', 'width', 'parameters', 'backbone_parameters', 'madds']
    plain += ['backbone_madds', 'peak_bytes']
    header = [
        *plain,
        'seconds_per_image',
        'seeds',
        *COSTS,
        *(f'{name} {key}' for name in metrics for key in STATISTICS),
    ]
    lines = []
    for row in rows:
        found, training = row.get('metrics', {}), row.get('training', {})
        line = [row.get(key) for key in plain] + [(row.get('seconds_per_image') or {}).get('median')]
        line += [len(row['seeds']) if 'seeds' in row else None]
        line += [(training.get(name) or {}).get('mean') for name in COSTS]
        lines.append(line + [found.get(name, {}).get(key) for name in metrics for key in STATISTICS])
    write_csv(folder / f'{NAME}.csv', header, lines)
    write_text(folder / f'{NAME}.md', as_markdown(*readable(rows)) + '\n')

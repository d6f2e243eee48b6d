"""From work dirs to the page."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import mmseq
from mmseq.files import write_text
from mmseq.runs.comparison import group_runs
from mmseq.runs.report.describe import describe_differences, describe_groups, describe_run
from mmseq.runs.report.page import render
from mmseq.runs.report.pictures import gallery
from mmseq.runs.run import Run, read_runs


def write_report(
    folders: Iterable[str | Path],
    out: str | Path | None = None,
    *,
    images: int = 4,
    device: str | None = None,
    configs: Path | None = None,
    progress: Callable[[list[Any]], Any] = list,
) -> Path:
    """Write a page about one or several runs.

    Args:
        folders: work dirs; that of ``mmseq seeds`` stands for those of its seeds.
        out: the file; by default ``report.html`` in the work dir, of several runs in ``work_dirs/compare``.
        images: of the best and of the worst each; 0 loads no model.
        device: of the models; by default a GPU if there is one.
        configs: folder of the config files, to find the runs' bases; by default that of mmseq.
        progress: gets the images to predict as a list, and gives them back one by one.

    Returns:
        The path of the page.

    Raises:
        InputError: no such folder, one without a run, or a file in it that cannot be read.
    """
    runs = read_runs(folders)
    out = Path(out) if out else (runs[0].folder if len(runs) == 1 else Path('work_dirs/compare')) / 'report.html'
    pictures, notes = gallery(runs, images, device, progress) if images else ([], [])
    return write_text(out, render(collect(runs, configs, pictures, notes)))


def collect(
    runs: Sequence[Run], configs: Path | None, pictures: list[dict[str, Any]], notes: list[str]
) -> dict[str, Any]:
    """All that the page shows."""
    groups = group_runs(runs)
    described = [describe_run(run, configs) for run in runs]
    several = len(runs) > 1
    parents = sorted({str(run.folder.parent) for run in runs})
    return dict(
        title=', '.join(run.name for run in runs) if len(runs) < 4 else f'{len(runs)} runs',
        subtitle=', '.join(parents) if several else str(runs[0].folder),
        version=mmseq.__version__,
        made=datetime.now().astimezone().strftime('%Y-%m-%d %H:%M'),
        runs=described,
        groups=describe_groups(groups),
        differences=describe_differences(groups) if len(groups) > 1 else [],
        gallery=pictures,
        notes=notes,
    )

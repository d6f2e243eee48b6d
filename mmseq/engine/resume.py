"""Where a training goes on from: the newest checkpoint that is whole."""

import logging
import os
import re
from pathlib import Path

from mmengine.dist import broadcast_object_list
from mmengine.logging import print_log
from mmengine.runner import Runner

from mmseq.checkpoints.seal import check_whole
from mmseq.errors import InputError
from mmseq.files import drafts_in
from mmseq.ranks import is_first_process

# What torchrun and Slurm set in a process that they start again.
RESTART_COUNTS = ('TORCHELASTIC_RESTART_COUNT', 'SLURM_RESTART_COUNT')
_REGULAR = re.compile(r'(?:iter|epoch)_\d+\.pth')
# How the names of checkpoints' drafts begin.
_DRAFTS = ('.iter_', '.epoch_', '.best_')


def go_on_from_checkpoint(runner: Runner, resume: str | None) -> None:
    """Let the runner resume from the checkpoint that the first process finds.

    Raises:
        InputError: in all processes, if there are only damaged ones.
    """
    found: list[str | None] = [None, None]
    if is_first_process():
        try:
            point = starting_point(runner.work_dir, resume)
            found[0] = str(point) if point else None
        except InputError as error:
            found[1] = str(error)
    broadcast_object_list(found)
    if found[1]:
        raise InputError(found[1])
    if found[0]:
        runner.logger.info(f'resuming from {found[0]}, which is whole')
        runner._load_from, runner._resume = found[0], True


def starting_point(work_dir: str | os.PathLike[str], resume: str | None) -> Path | None:
    """The checkpoint that this start of a run goes on from; None is a start from the beginning.

    A run that torchrun or Slurm starts again goes on from what it has saved itself since its first start, told or not;
    older checkpoints in the work dir are another run's. Call it in one process of a run.

    Args:
        work_dir: the run's work dir.
        resume: a checkpoint, ``auto`` for the newest of the work dir, or None.

    Raises:
        InputError: the named checkpoint is damaged, or all of the work dir are.
    """
    work_dir = Path(work_dir)
    work_dir.mkdir(parents=True, exist_ok=True)
    started = work_dir / 'started'
    if is_restarted() and started.exists():
        found = newest_whole(work_dir, since=started.stat().st_mtime_ns)
        if found:
            return found
    else:
        started.touch()
    if resume is None:
        return None
    remove_drafts(work_dir)
    if resume == 'auto':
        return newest_whole(work_dir)
    check_whole(resume)
    return Path(resume)


def is_restarted() -> bool:
    """Whether torchrun or Slurm has started this run before."""
    return any(int(os.environ.get(name) or 0) > 0 for name in RESTART_COUNTS)


def newest_whole(work_dir: str | os.PathLike[str], since: int = 0) -> Path | None:
    """The newest training checkpoint, by time of writing, whose digest is right; None if there is no checkpoint.

    Args:
        work_dir: a run's work dir; where its ``last_checkpoint`` names a file elsewhere, that folder is searched too.
        since: nanoseconds of the epoch; older files are left aside.

    Raises:
        InputError: there are checkpoints, and none of them is whole.
    """
    damaged: list[str] = []
    for path in candidates(Path(work_dir)):
        if path.stat().st_mtime_ns < since:
            continue
        try:
            check_whole(path)
        except InputError as error:
            print_log(f'{error}; skipped', logger='current', level=logging.WARNING)
            damaged.append(path.name)
        else:
            return path
    if damaged:
        raise InputError(
            f'{work_dir}: none of its checkpoints is whole ({", ".join(damaged)}); to start from the beginning, move '
            'them away'
        )
    return None


def candidates(work_dir: Path) -> list[Path]:
    """The regular checkpoints of a run, newest first; those of the best metric hold no state of the training."""
    found = {path for path in work_dir.glob('*.pth') if _REGULAR.fullmatch(path.name)}
    noted = work_dir / 'last_checkpoint'
    # mmengine writes this note in place, so it may be torn: it only adds places to look at.
    target = Path(noted.read_text(errors='replace').strip().replace('\0', '') or '.') if noted.is_file() else work_dir
    if target.is_file():
        found.add(target)
        found |= {path for path in target.parent.glob('*.pth') if _REGULAR.fullmatch(path.name)}
    # A work dir may be named in two ways.
    unique = {path.resolve(): path for path in found}
    return sorted(unique.values(), key=lambda path: (path.stat().st_mtime_ns, _number(path)), reverse=True)


def remove_drafts(work_dir: Path) -> None:
    """Remove what killed processes, on whatever machine, left of checkpoints: this run alone writes them here."""
    for path in drafts_in(work_dir):
        if path.name.startswith(_DRAFTS):
            print_log(f'{path}: left by an interrupted save; removed', logger='current')
            path.unlink(missing_ok=True)


def _number(path: Path) -> int:
    return int((re.findall(r'\d+', path.stem) or ['0'])[-1])

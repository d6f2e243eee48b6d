"""What a work dir is: the folder of one run.

A run has an id, which stands in ``run.json`` of its work dir and in each of its checkpoints. Which checkpoint a start
goes on from is decided by these ids and by iterations, never by the times or the paths of files: a work dir may be
copied or moved, and goes on from what it holds itself.
"""

import json
import logging
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from mmengine.logging import print_log

from mmseq.checkpoints.folder import regular_files
from mmseq.checkpoints.seal import check_whole
from mmseq.checkpoints.storage import load_meta
from mmseq.engine.lock import NAME as LOCK
from mmseq.engine.lock import is_restarted, launch_name, locked
from mmseq.errors import InputError
from mmseq.files import drafts_in, write_json

NOTE = 'run.json'
# Key of a checkpoint's `meta` under which a run describes itself.
RUN = 'run'
# How the names of checkpoints' drafts begin.
_DRAFTS = ('.iter_', '.epoch_', '.best_')


@dataclass(frozen=True)
class Place:
    """Where a run keeps its files.

    Args:
        work_dir: of the run.
        checkpoints: folder of its checkpoints, in most runs the work dir.
    """

    work_dir: Path
    checkpoints: Path


@dataclass(frozen=True)
class Start:
    """How a process begins to train.

    Args:
        run: id of the run.
        checkpoint: what it goes on from; None is the beginning.
    """

    run: str
    checkpoint: Path | None = None


@dataclass(frozen=True)
class Saved:
    """A training checkpoint, as its metadata describe it.

    Args:
        path: of the file.
        run: id of the run that wrote it; empty if it says none, as those of upstream's tools.
        step: iterations and epochs that were done.
    """

    path: Path
    run: str
    step: tuple[int, int]


def place_of(cfg: Any) -> Place:
    """Where the run of a config keeps its files; as mmengine, which puts checkpoints elsewhere below the same name."""
    work_dir = Path(cfg.work_dir).absolute()
    hook = (cfg.get('default_hooks') or {}).get('checkpoint') or {}
    elsewhere = hook.get('out_dir') if hasattr(hook, 'get') else None
    return Place(work_dir, Path(elsewhere).absolute() / work_dir.name if elsewhere else work_dir)


@contextmanager
def claimed(place: Place, resume: str | None, anew: bool = False, may_begin: bool = True) -> Iterator[Start]:
    """Hold a work dir for a run, and say how the run begins. Call it in one process of a run.

    A run that torchrun or Slurm starts again goes on from what it has saved itself, told or not.

    Args:
        place: of the run.
        resume: a checkpoint, ``auto`` for the newest of the run in the work dir, or None.
        anew: move an earlier run out of the way.
        may_begin: a run may begin where ``auto`` finds nothing.

    Raises:
        InputError: another process trains there; the work dir holds a run that nobody asked to go on with, or none that
            could go on; the named checkpoint, or all there are, are damaged.
    """
    again = is_restarted() and _note(place.work_dir).get('launch') == launch_name()
    if anew and not again:
        with locked(place.work_dir):
            move_aside(place)
    with locked(place.work_dir):
        remove_drafts(place.checkpoints)
        start = _restart(place) if again else _first_start(place, resume, may_begin)
        _write_note(place, start)
        yield start


def _restart(place: Place) -> Start:
    note = _note(place.work_dir)
    own = [saved for saved in saved_in(place.checkpoints) if saved.run == note['run']]
    if own:
        return Start(note['run'], newest_whole(own))
    return Start(note['run'], _whole(place.checkpoints / note['from']) if note.get('from') else None)


def _first_start(place: Place, resume: str | None, may_begin: bool) -> Start:
    if resume == 'auto':
        return _newest_start(place, may_begin)
    found = regular_files(place.checkpoints)
    if resume is None:
        if found:
            raise InputError(
                f'{place.checkpoints}: holds a run already ({_listed(found)}), which a new one would overwrite: '
                '--resume goes on with it, --anew moves it aside and begins, another --work-dir leaves it alone'
            )
        return Start(_new_id())
    checkpoint = _whole(Path(resume).absolute())
    if checkpoint.resolve().parent != place.checkpoints.resolve():
        if found:
            raise InputError(
                f'--resume {resume}: {place.checkpoints} holds another run ({_listed(found)}), which this one would '
                'overwrite: give another --work-dir, or --anew, which moves it aside'
            )
        return Start(_new_id(), checkpoint)
    this = _described(checkpoint)
    later = [saved for saved in saved_in(place.checkpoints) if saved.run == this.run and saved.step > this.step]
    # What is trained from an earlier checkpoint is another run: the later ones are not of it.
    return Start(this.run if this.run and not later else _new_id(), checkpoint)


def _newest_start(place: Place, may_begin: bool) -> Start:
    note, saved = _note(place.work_dir), saved_in(place.checkpoints)
    mine = [one for one in saved if one.run == note.get('run')]
    if not mine and note.get('from'):
        return Start(note['run'], _whole(place.checkpoints / note['from']))
    if not saved:
        if not note and not may_begin:
            raise InputError(
                f'--resume: {place.checkpoints} holds no checkpoint of a run; check --work-dir, or leave --resume out '
                'to begin one'
            )
        _warn(f'{place.checkpoints} holds no checkpoint to resume from: the run starts from the beginning')
        return Start(note.get('run') or _new_id())
    runs = {one.run for one in saved}
    if not mine and len(runs) > 1:
        listed = '; '.join(_listed([one.path for one in saved if one.run == run]) for run in sorted(runs))
        raise InputError(
            f'{place.checkpoints}: holds checkpoints of {len(runs)} runs ({listed}); name the one to go on from: '
            '--resume CHECKPOINT'
        )
    if foreign := [one.path for one in saved if mine and one not in mine]:
        _warn(f'{place.checkpoints}: of another run, and passed over: {_listed(foreign)}')
    checkpoint = newest_whole(mine or saved)
    return Start((mine or saved)[0].run or _new_id(), checkpoint)


def newest_whole(saved: Sequence[Saved]) -> Path:
    """The checkpoint of the last iteration whose digest is right.

    Raises:
        InputError: none of them is whole.
    """
    damaged = []
    for one in sorted(saved, key=lambda one: one.step, reverse=True):
        try:
            check_whole(one.path)
        except InputError as error:
            _warn(f'{error}; skipped')
            damaged.append(one.path)
        else:
            return one.path
    raise _all_damaged(damaged)


def saved_in(folder: Path) -> list[Saved]:
    """The legible regular checkpoints of a folder; those of the best metric hold no state of the training.

    Raises:
        InputError: there are checkpoints, and none of them is legible.
    """
    found, damaged = [], []
    for path in regular_files(folder):
        try:
            found.append(_described(path))
        except InputError:
            damaged.append(path)
    for path in damaged:
        _warn(f'{_damage(path)}; skipped')
    if damaged and not found:
        raise _all_damaged(damaged)
    return found


def move_aside(place: Place) -> None:
    """Rename the folders of an earlier run, if they hold checkpoints: ``NAME_earlier_1``, or the next free number.

    Raises:
        InputError: this process stands in the folder.
    """
    if not regular_files(place.checkpoints):
        return
    if Path.cwd().is_relative_to(place.work_dir.resolve()):
        raise InputError(f'--anew: {place.work_dir} is where this command was started; start it elsewhere')
    number = 1
    while any(_aside(folder, number).exists() for folder in (place.work_dir, place.checkpoints)):
        number += 1
    for folder in dict.fromkeys((place.work_dir, place.checkpoints)):
        moved = folder.rename(_aside(folder, number))
        print_log(f'--anew: {folder} holds an earlier run, which is now {moved}', logger='current')
        (moved / LOCK).unlink(missing_ok=True)


def _aside(folder: Path, number: int) -> Path:
    return folder.with_name(f'{folder.name}_earlier_{number}')


def remove_drafts(folder: Path) -> None:
    """Remove what killed processes, on whatever machine, left of checkpoints; who holds the lock alone writes them."""
    for path in drafts_in(folder) if folder.is_dir() else []:
        if path.name.startswith(_DRAFTS):
            print_log(f'{path}: left by an interrupted save; removed', logger='current')
            path.unlink(missing_ok=True)


def _note(work_dir: Path) -> dict[str, Any]:
    path = work_dir / NOTE
    try:
        note = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise InputError(
            f'{path}: is no JSON ({error}); remove it; the checkpoints beside it name their runs'
        ) from None
    return note


def _write_note(place: Place, start: Start) -> None:
    origin = start.checkpoint
    if origin and origin.resolve().parent == place.checkpoints.resolve():
        # The folder may be copied or moved; elsewhere a path stays what it is.
        origin = Path(origin.name)
    began = datetime.now().astimezone().isoformat(timespec='seconds')
    note = {'run': start.run, 'began': began, 'launch': launch_name(), 'from': origin and str(origin)}
    write_json(place.work_dir / NOTE, note)


def _described(path: Path) -> Saved:
    meta = load_meta(path)
    return Saved(path, (meta.get(RUN) or {}).get('id', ''), (int(meta.get('iter', 0)), int(meta.get('epoch', 0))))


def _whole(path: Path) -> Path:
    check_whole(path)
    return path


def _damage(path: Path) -> str:
    try:
        check_whole(path)
    except InputError as error:
        return str(error)
    return f'{path}: is no checkpoint of a training'


def _all_damaged(paths: Sequence[Path]) -> InputError:
    listed = ', '.join(path.name for path in paths)
    return InputError(
        f'{paths[0].parent}: none of its checkpoints is whole ({listed}); to start from the beginning, move them away'
    )


def _listed(paths: Sequence[Path]) -> str:
    names = [path.name for path in paths]
    return ', '.join(names if len(names) < 4 else [*names[:2], '...', names[-1]])


def _new_id() -> str:
    return uuid.uuid4().hex[:12]


def _warn(text: str) -> None:
    print_log(text, logger='current', level=logging.WARNING)

"""Which checkpoint of a folder to take: of a work dir, or of a model that was published."""

import re
from pathlib import Path

from mmseq.checkpoints.storage import load_meta
from mmseq.errors import InputError

WEIGHTS = 'model.safetensors'
"""What the weights of a published model are called."""
_REGULAR = re.compile(r'(?:iter|epoch)_\d+\.pth')
_BEST = re.compile(r'best_.+_(?:iter|epoch)_(\d+)\.pth')


def regular_files(folder: Path) -> list[Path]:
    """The files with names of regular checkpoints, in the order of their numbers."""
    paths = [path for path in folder.glob('*.pth') if _REGULAR.fullmatch(path.name)]
    return sorted(paths, key=lambda path: (int(path.stem.rpartition('_')[2]), path.name))


def best_files(folder: Path) -> list[Path]:
    """The files with names of checkpoints of the best metric, in the order of their numbers."""
    found = [(int(match[1]), path) for path in folder.glob('best_*.pth') if (match := _BEST.fullmatch(path.name))]
    return [path for _, path in sorted(found)]


def choose_checkpoint(folder: Path) -> tuple[Path, str]:
    """The best checkpoint of a folder, else the last one, else the weights of a published model; and which it is.

    Raises:
        InputError: there is none of them.
    """
    if found := best_files(folder):
        return found[-1], 'its best checkpoint' if len(found) == 1 else f'the latest of its {len(found)} best ones'
    if found := regular_files(folder):
        return max(found, key=_iterations) if len(found) > 1 else found[0], 'its last checkpoint'
    if (folder / WEIGHTS).is_file():
        return folder / WEIGHTS, 'its weights'
    raise InputError(
        f'folder {folder}: holds no checkpoint: looked for best_*.pth, iter_*.pth, epoch_*.pth and {WEIGHTS}; '
        'name a file'
    )


def _iterations(path: Path) -> int:
    """That a checkpoint was saved after, by what it says of itself: names count epochs or iterations."""
    return int(load_meta(path).get('iter') or 0)

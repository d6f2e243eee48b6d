"""What a user points at to be looked at: pictures, folders, patterns, videos, a camera."""

import glob
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import cv2
import numpy as np

from mmseq.datasets.multispectral import SUFFIXES
from mmseq.errors import InputError
from mmseq.files import unique

PICTURES = frozenset(('.jpg', '.jpeg', '.jfif', '.png', '.bmp', '.gif', '.webp', '.ppm', '.pgm', *SUFFIXES))
# Photographs that OpenCV does not read: said, not left out.
UNREAD = frozenset(('.heic', '.heif', '.avif', '.jxl'))
VIDEOS = frozenset(('.mp4', '.m4v', '.mov', '.avi', '.mkv', '.webm', '.mpg', '.mpeg', '.wmv', '.flv'))


@dataclass(frozen=True)
class Picture:
    """A picture file.

    Args:
        path: of the file.
        name: for what is made of it: no suffix, folders below the one that was named kept, no other source's.
    """

    path: str
    name: str


@dataclass(frozen=True)
class Video:
    """A video file, or a camera; see :class:`Picture`.

    Args:
        path: of the file, or the camera's number.
        name: see there.
        frames: how many there are, as far as the file says; None for a camera.
        rate: frames of a second.
    """

    path: str | int
    name: str
    frames: int | None
    rate: float

    def read(self, every: int = 1) -> Iterator[tuple[int, np.ndarray]]:
        """Every so many-th frame's number, from 0, and its (H, W, 3) bytes, red first, as long as there are any."""
        with closing_capture(self.path) as capture:
            number = 0
            while capture.grab():
                if number % every == 0:
                    there, frame = capture.retrieve()
                    if not there:
                        return
                    yield number, np.ascontiguousarray(frame[:, :, ::-1])
                number += 1


@dataclass(frozen=True)
class Unreadable:
    """A video, or a photograph of another format, among other files that cannot be opened; see :class:`Picture`.

    Args:
        path: of the file.
        name: see there.
        reason: one line.
    """

    path: str
    name: str
    reason: str


def find(inputs: Sequence[str], results: Collection[Path] = ()) -> list[Picture | Video | Unreadable]:
    """The sources behind what a user named: files, folders with all below them, patterns, a camera's number.

    Files of a folder that are neither pictures nor videos by their suffix, and what is hidden, are left alone.

    Args:
        inputs: what the user named.
        results: folders below the inputs whose files are left out, such as what an earlier call has written there.

    Raises:
        InputError: nothing there, no picture in it, a video or camera named by itself that cannot be opened.
    """
    taken: set[str] = set()
    sources: list[Picture | Video | Unreadable] = []
    for text in inputs:
        if text.isdigit() and not os.path.exists(text):
            sources.append(open_video(int(text), unique(f'camera{text}', taken)))
            continue
        for path, name in files(text, results):
            name = unique(name, taken)
            try:
                sources.append(open_file(path, name))
            except InputError as error:
                if path == text:
                    raise
                sources.append(Unreadable(path, name, str(error)))
    return sources


def open_file(path: str, name: str) -> Picture | Video:
    """A picture, which is not looked at yet, or a video.

    Raises:
        InputError: a video that cannot be opened, or a photograph that OpenCV does not read.
    """
    suffix = Path(path).suffix.lower()
    if suffix in UNREAD:
        raise InputError(f'{path}: {suffix} is not read; convert it to .png or .jpg')
    return open_video(path, name) if suffix in VIDEOS else Picture(path, name)


def files(text: str, results: Collection[Path] = ()) -> list[tuple[str, str]]:
    """The files behind one input, in the order of their names, each with its name for outputs; see :func:`find`.

    Raises:
        InputError: there are none.
    """
    if os.path.isdir(text):
        root, known = Path(text), PICTURES | VIDEOS | UNREAD
        found = [path for path in sorted(root.rglob('*')) if path.suffix.lower() in known and path.is_file()]
        found = [path for path in found if not any(part.startswith('.') for part in path.relative_to(root).parts)]
        left_out = not_around(root, results)
        found = [path for path in found if not lies_in(path, left_out)]
        if not found:
            raise InputError(f'{text}: no picture or video in this folder ({" ".join(sorted(PICTURES))})')
        return [(str(path), path.relative_to(root).with_suffix('').as_posix()) for path in found]
    if os.path.isfile(text):
        return [(text, Path(text).stem)]
    if not glob.has_magic(text):
        raise InputError(f'{text}: no such file or folder')
    matching = sorted(path for path in glob.glob(text, recursive=True) if os.path.isfile(path))
    # the folder that the pattern names itself
    root = Path(*takewhile(lambda part: not glob.has_magic(part), Path(text).parts))
    left_out = not_around(root, results)
    matching = [path for path in matching if not lies_in(path, left_out)]
    if not matching:
        raise InputError(f'{text}: no file matches this pattern')
    return [(path, Path(path).stem) for path in matching]


def not_around(root: Path, folders: Collection[Path]) -> list[Path]:
    """The folders, resolved, without those that the root lies in: a user who names results means them."""
    own = root.resolve()
    return [folder for folder in (folder.resolve() for folder in folders) if not own.is_relative_to(folder)]


def lies_in(path: str | Path, folders: Collection[Path]) -> bool:
    """Whether a file is below one of the resolved folders."""
    return bool(folders) and any(Path(path).resolve().is_relative_to(folder) for folder in folders)


def open_video(path: str | int, name: str) -> Video:
    """Look at a video or camera.

    Raises:
        InputError: it cannot be opened, or holds no frame.
    """
    with closing_capture(path) as capture:
        if not capture.isOpened() or not capture.grab():
            if isinstance(path, int):
                raise InputError(f'camera {path}: there is none, or another program uses it')
            raise InputError(f'{path}: cannot be read as a video; check that it is whole, or convert it to mp4')
        frames = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        rate = capture.get(cv2.CAP_PROP_FPS)
    # Containers without an index say nothing, or nonsense.
    known = None if isinstance(path, int) or frames <= 0 else frames
    return Video(path, name, known, rate if 0 < rate < 1000 else 25.0)


@contextmanager
def closing_capture(path: str | int) -> Iterator[cv2.VideoCapture]:
    """OpenCV's reader, released at the end; the caller reports a failure in one line of its own."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    # Read when the reader is opened: -8 is ffmpeg's word for silence.
    os.environ.setdefault('OPENCV_FFMPEG_LOGLEVEL', '-8')
    # OpenCV's own reader of AVI, which comes next, prints its complaints.
    ffmpeg = isinstance(path, str) and cv2.CAP_FFMPEG in cv2.videoio_registry.getBackends()
    capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG if ffmpeg else cv2.CAP_ANY)
    try:
        yield capture
    finally:
        capture.release()
        cv2.utils.logging.setLogLevel(level)

"""Predictions as files: pictures, label maps, COCO's json, a summary."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mmseq.datasets.sources import Picture, Video
from mmseq.errors import InputError
from mmseq.files import jsonable, whole_file, write_json, write_png
from mmseq.pictures.drawing import draw
from mmseq.pictures.prediction import Prediction
from mmseq.predict.coco_results import CocoResults, Found, found_on
from mmseq.predict.journal import Journal

# MPEG-4, of which a frame of 1280 x 720 px takes 4 ms (benchmarks/drawing.py); with VP9 it is 300, and OpenCV's wheels
# have no H.264.
CODEC, VIDEO_SUFFIX = 'mp4v', '.mp4'


@dataclass(frozen=True)
class Subject:
    """What a prediction is of.

    Args:
        source: the file, as results name it.
        name: of what is written, without suffix; no other source's.
        frame: the number of a video's frame; those of one video come one after another.
        rate: frames of a second.
    """

    source: str
    name: str
    frame: int | None = None
    rate: float = 25.0

    @property
    def place(self) -> str:
        """The name of a picture of it alone."""
        return self.name if self.frame is None else f'{self.name}/{self.frame:06d}'

    def described(self) -> dict[str, Any]:
        """The file, and the frame of a video."""
        return dict(file_name=self.source) if self.frame is None else dict(file_name=self.source, frame=self.frame)


# Folders of pictures in the folder of predictions.
PICTURE_FOLDERS = ('overlays', 'maps', 'panoptic')


@dataclass(frozen=True)
class Rendered:
    """A prediction whose files are written, and what is to be noted of it.

    Args:
        subject: what it is of.
        row: of the summary.
        found: for COCO's files.
        frame: (H, W, 3) bytes of a video with the overlay drawn, for the next place in it.
    """

    subject: Subject
    row: dict[str, Any]
    found: Found
    frame: np.ndarray | None = None


class PredictionFolder:
    """A folder that predictions are written to as they come; what speaks of all of them, when it is closed.

    :meth:`render` may run in several threads at a time; :meth:`add` takes what it gives in the order of the images.

    ``overlays/NAME.png`` (of a video ``NAME.mp4``); of segmentors ``maps/NAME.png`` with the place of each pixel's
    class, of panoptic models ``panoptic/NAME.png`` and ``panoptic.json``, of detectors ``detections.json``; and
    ``summary.json``.

    Args:
        folder: made if need be; files of the same names are replaced.
        classes: names.
        palette: (classes, 3) bytes.
        overlays: write pictures with what was predicted drawn over them.
        maps: write label maps and panoptic maps.
        opacity: of the areas in the overlays.
    """

    def __init__(
        self,
        folder: str | Path,
        classes: Sequence[str],
        palette: np.ndarray,
        *,
        overlays: bool = True,
        maps: bool = True,
        opacity: float = 0.5,
    ) -> None:
        self.folder = Path(folder)
        self.classes, self.palette, self.opacity = classes, palette, opacity
        self.overlays, self.maps = overlays, maps
        self.rows: list[dict[str, Any]] = []
        self.failures: list[dict[str, str]] = []
        self._coco = CocoResults(classes)
        self._video: OverlayVideo | None = None
        self._journal: Journal | None = None
        self._frames: list[tuple[dict[str, Any], Found]] = []
        self._begin = time.perf_counter()

    def go_on(self, identity: dict[str, Any], anew: bool = False) -> int:
        """Take over what an earlier start with the same identity has finished; returns how many sources that are.

        Args:
            identity: what results depend on beside the sources, in JSON's types.
            anew: forget what is finished.
        """
        self._journal = Journal(self.folder, identity, anew)
        for entry in self._journal.entries():
            for row, found in entry:
                self._note(row, found)
        return len(self._journal)

    def has(self, source: Picture | Video) -> bool:
        """Whether an earlier start has finished a source."""
        return self._journal is not None and self._journal.has(str(source.path), source.name)

    def render(self, prediction: Prediction, subject: Subject) -> Rendered:
        """Draw a prediction, instances below the wanted score left out already, and write its own files."""
        height, width = prediction.size
        row: dict[str, Any] = dict(subject.described(), width=width, height=height)
        found, panoptic = found_on(prediction, subject.described(), self.classes)
        frame = None
        if self.overlays:
            drawn = draw(prediction, self.classes, self.palette, self.opacity)
            if subject.frame is None:
                row['overlay'] = self._picture(f'overlays/{subject.name}.png', drawn)
            else:
                row['overlay'], frame = f'overlays/{subject.name}{VIDEO_SUFFIX}', drawn
        if self.maps and prediction.labels is not None:
            row['map'] = self._picture(f'maps/{subject.place}.png', prediction.labels)
        if self.maps and panoptic is not None:
            row['panoptic'] = self._picture(f'panoptic/{subject.place}.png', panoptic)
        row['classes'] = jsonable(prediction.by_class(self.classes))
        if prediction.cut_off is not None:
            row['limit_reached'] = True
        return Rendered(subject, row, found, frame)

    def add(self, rendered: Rendered) -> dict[str, Any]:
        """Note a prediction, frames of a video in their order; returns the summary's row.

        Raises:
            InputError: the overlays of a video cannot be written.
        """
        row, subject = rendered.row, rendered.subject
        if rendered.frame is not None:
            if self._video is None:
                path, size = self.folder / row['overlay'], rendered.frame.shape[:2]
                self._video = OverlayVideo(path, size, subject.rate)
            self._video.write(rendered.frame)
        self._note(row, rendered.found)
        if subject.frame is not None:
            self._frames.append((row, rendered.found))
        elif self._journal is not None:
            self._journal.add(subject.source, subject.name, [(row, rendered.found)])
        return row

    def fail(self, source: str, reason: str) -> None:
        """Note a source that could not be read, or not to its end."""
        self.failures.append(dict(file_name=source, reason=reason))

    def end_video(self, finished: Video | None = None) -> None:
        """Put the overlays of the frames so far in place, if there are any; the video is given if that was its end."""
        if self._video is not None:
            self._video.close()
            self._video = None
        frames, self._frames = self._frames, []
        if self._journal is not None and finished is not None and isinstance(finished.path, str):
            self._journal.add(finished.path, finished.name, frames)

    def close(self, about: dict[str, Any], complete: bool = True) -> dict[str, Any]:
        """Write what speaks of all predictions; returns the summary, which begins with what is given.

        Unless all sources are finished, the next start goes on from here.
        """
        self.end_video()
        if self._journal is not None and complete and not self.failures:
            self._journal.remove()
        seconds = time.perf_counter() - self._begin
        if self._coco.annotations is not None:
            write_json(self.folder / 'detections.json', self._coco.detections())
        if self._coco.segments and self.maps:
            names = [row['panoptic'].removeprefix('panoptic/') for row in self.rows]
            write_json(self.folder / 'panoptic.json', self._coco.panoptic(names))
        counts = dict(pictures=len(self.rows), failed=len(self.failures), seconds=seconds)
        summary = dict(**about, **counts, classes=self.classes, failures=self.failures, predictions=self.rows)
        write_json(self.folder / 'summary.json', summary)
        return summary

    def _note(self, row: dict[str, Any], found: Found) -> None:
        self.rows.append(row)
        self._coco.add(found)

    def _picture(self, name: str, image: np.ndarray) -> str:
        write_png(self.folder / name, image)
        return name


class OverlayVideo:
    """A video that is at its place when it is complete.

    Args:
        path: of the file.
        size: height and width of the frames; OpenCV leaves out the last row or column of an odd one.
        rate: frames of a second.

    Raises:
        InputError: OpenCV has no encoder, or may not write there.
    """

    def __init__(self, path: Path, size: tuple[int, int], rate: float) -> None:
        self._end = ExitStack()
        draft = self._end.enter_context(whole_file(path, VIDEO_SUFFIX))
        self._writer = cv2.VideoWriter(str(draft), cv2.VideoWriter.fourcc(*CODEC), rate, size[::-1])
        if not self._writer.isOpened():
            raise InputError(f'{path}: OpenCV cannot write this video; --no-overlays leaves it out')

    def write(self, frame: np.ndarray) -> None:
        """Add (H, W, 3) bytes, red first."""
        self._writer.write(np.ascontiguousarray(frame[:, :, ::-1]))

    def close(self) -> None:
        """Put the file in its place."""
        self._writer.release()
        self._end.close()

"""All sources that a user named, through a predictor, into a folder."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby, islice
from traceback import clear_frames
from typing import Any

import numpy as np
from mmengine.logging import print_log

from mmseq.datasets.checks.images import UNREADABLE
from mmseq.datasets.sources import Picture, Unreadable, Video
from mmseq.errors import InputError, first_line
from mmseq.explain import explain
from mmseq.explain.work import Work, inference
from mmseq.pictures.prediction import Prediction
from mmseq.predict.prediction_files import PredictionFolder, Rendered, Subject
from mmseq.predict.predictor import Predictor, Prepared
from mmseq.predict.workers import WORKERS, Workers

Item = tuple[Subject, str | np.ndarray]
"""What a result is of, and the file or the (H, W, 3) bytes."""

# Containers without an index only estimate how many frames they hold.
SHORT = 0.9
# What one image may be the cause of, in a pipeline and in a model; a lack of memory among them.
FAULTS = (*UNREADABLE, RuntimeError)
# Images that a model fails on without having predicted any, until it is the model's fault.
CERTAIN = 3


class _EndOfVideoError(Exception):
    """A frame has failed, which is a failure of its video already: the rest of it is left out."""


def infer(
    predictor: Predictor,
    sources: Sequence[Picture | Video | Unreadable],
    folder: PredictionFolder,
    *,
    batch: int = 1,
    score: float = 0.3,
    every: int = 1,
    limit: int | None = None,
    workers: int = WORKERS,
    seen: Callable[[dict[str, Any] | None], None] = lambda row: None,
) -> None:
    """Predict sources; what cannot be read or predicted becomes a failure of the folder, and the rest goes on.

    Args:
        predictor: the model.
        sources: of :func:`mmseq.datasets.sources.find`.
        folder: gets the results; the caller closes it.
        batch: pictures, or frames of one video, at a time.
        score: instances below are left out.
        every: each so many-th frame of a video is taken.
        limit: frames of a video after which it is left; a camera also ends at Ctrl-C.
        workers: threads that read, draw and write while the model computes.
        seen: called with the summary's row of each picture and frame, and with None for each failure.

    Raises:
        InputError: overlays of a video cannot be written, or the model fails on the first few images or on all.
    """
    with Workers(workers) as helpers:
        trial = Trial(predictor, folder, score, batch, helpers, seen)
        for video, group in groupby(sources, key=video_or_none):
            files = (source for source in group if not isinstance(source, Video))
            failed = len(folder.failures)
            try:
                trial.predict(frames(video, folder, every, limit) if video else pictures(files, folder, seen))
            except _EndOfVideoError:
                seen(None)
            except KeyboardInterrupt:
                # The usual end of a camera.
                if video is None or not isinstance(video.path, int):
                    raise
            folder.end_video(video if len(folder.failures) == failed else None)
        trial.end()


def unfinished(
    sources: Sequence[Picture | Video | Unreadable], folder: PredictionFolder
) -> list[Picture | Video | Unreadable]:
    """The sources that the folder does not have from an earlier start."""
    return [source for source in sources if isinstance(source, Unreadable) or not folder.has(source)]


def video_or_none(source: Picture | Video | Unreadable) -> Video | None:
    """The source, if it is a video."""
    return source if isinstance(source, Video) else None


def expected(sources: Sequence[Picture | Video | Unreadable], every: int, limit: int | None) -> int | None:
    """How many pictures and frames there will be; None with a camera without limit, or a video that does not say."""
    total = 0
    for source in sources:
        if not isinstance(source, Video):
            total += 1
        elif source.frames is None:
            if limit is None:
                return None
            total += limit
        else:
            number = -(-source.frames // every)
            total += number if limit is None else min(number, limit)
    return total


def pictures(
    sources: Iterable[Picture | Unreadable], folder: PredictionFolder, seen: Callable[[None], None]
) -> Iterator[Item]:
    """The pictures among files."""
    for source in sources:
        if isinstance(source, Unreadable):
            folder.fail(source.path, source.reason)
            seen(None)
        else:
            yield Subject(source.path, source.name), source.path


def frames(video: Video, folder: PredictionFolder, every: int, limit: int | None) -> Iterator[Item]:
    """The frames of a video; one that ends early is a failure."""
    source = video.name if isinstance(video.path, int) else video.path
    number = -1
    try:
        for number, frame in islice(video.read(every), limit):
            yield Subject(source, video.name, number, video.rate / every), frame
    except KeyboardInterrupt:
        # The usual end of a camera; the frames so far are predicted and written.
        if isinstance(video.path, int):
            return
        raise
    if limit is None and video.frames and number + every < SHORT * video.frames:
        reason = f'{source}: ends after {number + 1} of {video.frames} frames; it is damaged there, or not whole'
        folder.fail(source, reason)


class Trial:
    """Predicts images, each on its own where that has to be, and tells an odd one from a model that works for none.

    Args:
        predictor: the model.
        folder: gets results and failures.
        score: instances below are left out.
        batch: images that are predicted at a time.
        workers: read images before the model takes them, and write its results.
        seen: see :func:`infer`.
    """

    def __init__(
        self,
        predictor: Predictor,
        folder: PredictionFolder,
        score: float,
        batch: int,
        workers: Workers,
        seen: Callable[[dict[str, Any] | None], None],
    ) -> None:
        self.predictor, self.folder, self.score, self.batch = predictor, folder, score, batch
        self._workers, self._seen = workers, seen
        self._work = inference(predictor.model.cfg)
        self._faults: list[Exception] = []
        self._predicted = 0

    def predict(self, items: Iterable[Item]) -> None:
        """Predict items and write the results.

        Raises:
            InputError: see :func:`infer`.
            _EndOfVideoError: a frame has failed.
        """
        found = self._found(self._workers.ahead(self._prepare, items, self.batch + self._workers.number))
        # In their order, so that what cannot be predicted stands where it would have stood.
        for subject, outcome in self._workers.ahead(self._render, found, self._workers.number):
            if isinstance(outcome, Rendered):
                self._seen(self.folder.add(outcome))
                continue
            self.folder.fail(subject.source, str(outcome))
            if subject.frame is not None:
                raise _EndOfVideoError
            self._seen(None)

    def _prepare(self, item: Item) -> tuple[Subject, Prepared | InputError]:
        subject, image = item
        try:
            return subject, self.predictor.prepare(image)
        except FAULTS as error:
            return subject, error if isinstance(error, InputError) else named(subject, error, self._work)

    def _found(
        self, items: Iterator[tuple[Subject, Prepared | InputError]]
    ) -> Iterator[tuple[Subject, Prediction | InputError]]:
        """What the model finds on each, some at a time."""
        while chunk := list(islice(items, self.batch)):
            ready = [(subject, prepared) for subject, prepared in chunk if isinstance(prepared, Prepared)]
            outcomes = iter(self._run(ready))
            for subject, prepared in chunk:
                outcome: Any = prepared if isinstance(prepared, InputError) else next(outcomes)
                yield (
                    subject,
                    outcome if isinstance(outcome, (Prediction, InputError)) else self._blame(subject, outcome),
                )

    def _render(self, item: tuple[Subject, Prediction | InputError]) -> tuple[Subject, Rendered | InputError]:
        subject, found = item
        if isinstance(found, InputError):
            return subject, found
        return subject, self.folder.render(found.above(self.score), subject)

    def end(self) -> None:
        """Refuse a model that has predicted nothing.

        Raises:
            InputError: what it raised first, as one line.
        """
        if self._faults and not self._predicted:
            fault = self._faults[0]
            raise explain(fault, self._work) or InputError(
                self._work.say(f'{unexplained(fault)}; MMSEQ_DEBUG=1 shows where')
            ) from fault

    def _run(self, ready: Sequence[tuple[Subject, Prepared]]) -> list[Prediction | Exception]:
        """What the model makes of each, together if it can; its exception for one that it fails on alone."""
        try:
            found = self.predictor.run([prepared for _, prepared in ready])
        except FAULTS as error:
            # They hold what takes the memory.
            clear_frames(error.__traceback__)
            fault = error
        else:
            self._predicted += len(found)
            return list(found)
        if len(ready) == 1:
            return [fault]
        print_log(f'a batch of {len(ready)} images failed ({first_line(fault)}); they are tried one by one', 'current')
        return [outcome for one in ready for outcome in self._run([one])]

    def _blame(self, subject: Subject, fault: Exception) -> InputError:
        """The fault of one image, until it is the model's.

        Raises:
            InputError: the model has failed on the first few.
        """
        self._faults.append(fault)
        if len(self._faults) >= CERTAIN:
            self.end()
        return named(subject, fault, self._work)


def named(subject: Subject, error: Exception, work: Work) -> InputError:
    """An error as one line that names the image."""
    name = subject.source if subject.frame is None else f'{subject.source}: frame {subject.frame}'
    return InputError(f'{name}: {explain(error, work) or unexplained(error)}')


def unexplained(error: Exception) -> str:
    """An error of a model or pipeline that nothing is known of."""
    return f'the model or its pipeline fails ({type(error).__name__}: {first_line(error)})'

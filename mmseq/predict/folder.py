"""All sources that a user named, through a predictor, into a folder."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from traceback import clear_frames
from typing import Any

import numpy as np
from mmengine.logging import print_log

from mmseq.config import Change, load_config
from mmseq.datasets.checks.images import UNREADABLE
from mmseq.datasets.sources import Picture, Unreadable, Video
from mmseq.errors import InputError, first_line
from mmseq.explain import explain
from mmseq.explain.work import Work, inference
from mmseq.model.shape import usual_shape
from mmseq.pictures.prediction import Prediction
from mmseq.predict.prediction_files import PredictionFolder, Subject
from mmseq.predict.predictor import Predictor, Prepared

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
        seen: called with the summary's row of each picture and frame, and with None for each failure.

    Raises:
        InputError: overlays of a video cannot be written, or the model fails on the first few images or on all.
    """
    trial = Trial(predictor, folder, score)
    for video, group in groupby(sources, key=video_or_none):
        files = (source for source in group if not isinstance(source, Video))
        items = frames(video, folder, every, limit) if video else pictures(files, folder, seen)
        try:
            for chunk in chunks(items, batch):
                for row in trial.predict(chunk):
                    seen(row)
        except _EndOfVideoError:
            seen(None)
        except KeyboardInterrupt:
            # The usual end of a camera.
            if video is None or not isinstance(video.path, int):
                raise
        folder.end_video()
    trial.end()


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
    for number, frame in islice(video.read(every), limit):
        yield Subject(source, video.name, number, video.rate / every), frame
    if limit is None and video.frames and number + every < SHORT * video.frames:
        reason = f'{source}: ends after {number + 1} of {video.frames} frames; it is damaged there, or not whole'
        folder.fail(source, reason)


def chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """So many at a time."""
    items = iter(items)
    while chunk := list(islice(items, size)):
        yield chunk


class Trial:
    """Predicts images, each on its own where that has to be, and tells an odd one from a model that works for none.

    Args:
        predictor: the model.
        folder: gets results and failures.
        score: instances below are left out.
    """

    def __init__(self, predictor: Predictor, folder: PredictionFolder, score: float) -> None:
        self.predictor, self.folder, self.score = predictor, folder, score
        self._work = inference(predictor.model.cfg)
        self._faults: list[Exception] = []

    def predict(self, chunk: Sequence[Item]) -> Iterator[dict[str, Any] | None]:
        """Predict some items at a time and write the results; gives the rows, and None for what has failed."""
        ready: list[tuple[Subject, Prepared]] = []
        for subject, image in chunk:
            try:
                ready.append((subject, self.predictor.prepare(image)))
            except FAULTS as error:
                self._fail(subject, error if isinstance(error, InputError) else named(subject, error, self._work))
                yield None
        for subject, found in self._run(ready):
            if isinstance(found, Exception):
                self._blame(subject, found)
                yield None
            else:
                yield self.folder.add(found.above(self.score), subject)

    def end(self) -> None:
        """Refuse a model that has predicted nothing.

        Raises:
            InputError: what it raised first, as one line.
        """
        if self._faults and not self.folder.rows:
            fault = self._faults[0]
            raise explain(fault, self._work) or InputError(
                self._work.say(f'{unexplained(fault)}; MMSEQ_DEBUG=1 shows where')
            ) from fault

    def _run(self, ready: Sequence[tuple[Subject, Prepared]]) -> list[tuple[Subject, Prediction | Exception]]:
        """What the model makes of each, together if it can; its exception for one that it fails on alone."""
        subjects, fault = [subject for subject, _ in ready], None
        try:
            return list(zip(subjects, self.predictor.run([prepared for _, prepared in ready])))
        except FAULTS as error:
            # They hold what takes the memory.
            clear_frames(error.__traceback__)
            fault = error
        if len(ready) == 1:
            return [(subjects[0], fault)]
        print_log(f'a batch of {len(ready)} images failed ({first_line(fault)}); they are tried one by one', 'current')
        return [pair for one in ready for pair in self._run([one])]

    def _blame(self, subject: Subject, fault: Exception) -> None:
        self._faults.append(fault)
        if not self.folder.rows and len(self._faults) >= CERTAIN:
            self.end()
        self._fail(subject, named(subject, fault, self._work))

    def _fail(self, subject: Subject, problem: InputError) -> None:
        self.folder.fail(subject.source, str(problem))
        if subject.frame is not None:
            raise _EndOfVideoError


def named(subject: Subject, error: Exception, work: Work) -> InputError:
    """An error as one line that names the image."""
    name = subject.source if subject.frame is None else f'{subject.source}: frame {subject.frame}'
    return InputError(f'{name}: {explain(error, work) or unexplained(error)}')


def unexplained(error: Exception) -> str:
    """An error of a model or pipeline that nothing is known of."""
    return f'the model or its pipeline fails ({type(error).__name__}: {first_line(error)})'


def sliding_options(
    config: str,
    options: Mapping[str, Any],
    crop: int | None = None,
    stride: int | None = None,
    change: Change | None = None,
) -> dict[str, Any]:
    """What makes a config's segmentor go window by window.

    Args:
        config: path of the config.
        options: what overrides it.
        crop: side of a window in pixels; the config's own windows, or its training crop, by default.
        stride: from one window to the next; two thirds of the window by default.
        change: what is changed in the config before that.

    Raises:
        InputError: no segmentor of upstream's kind, or windows that leave gaps.
    """
    cfg = load_config(config, options, change=change)
    if cfg.model.type not in ('EncoderDecoder', 'mmseq.SlidingEncoderDecoder'):
        raise InputError(f'--sliding is for segmentors (EncoderDecoder); the model of {config} is a {cfg.model.type}')
    own = cfg.model.get('test_cfg') or {}
    if crop is not None:
        size = (crop, crop)
    else:
        size = tuple(own.get('crop_size') or usual_shape(cfg))
    steps = (stride, stride) if stride else tuple(side * 2 // 3 for side in size)
    if min(size) < 32 or steps[0] > size[0] or steps[1] > size[1]:
        raise InputError(f'--crop {size[0]} --stride {steps[0]}: expected windows from 32 px, and no larger stride')
    test_cfg = dict(mode='slide', crop_size=size, stride=steps)
    return {'model.type': 'mmseq.SlidingEncoderDecoder', 'model.test_cfg': test_cfg}

"""A trained model over pictures: what it says of each, in the picture's own size, whatever its task.

    cfg, model = load_trained('configs/upernet_seq2d_s_ade20k.py', 'iter_160000.pth')
    (found,) = Predictor(model).predict(['street.jpg'])
    found.labels                # (H, W), the class of each pixel

Upstream's own ``inference_detector`` and ``inference_model`` take the pictures of a call one by one and end at the
first that is damaged; its inferencers load the checkpoint themselves, past our checks. What they call, the pipeline of
the config and the model's ``test_step``, is called here.
"""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope
from torch import Tensor

from mmseq.compat.allocator import release_if_short
from mmseq.datasets.checks.images import UNREADABLE, DamagedFileError, decode, glance
from mmseq.datasets.nesting import loader_datasets
from mmseq.errors import InputError
from mmseq.large.lean import lean
from mmseq.large.limit import cut_off_of
from mmseq.large.memory import Room
from mmseq.large.tiles import Tiles, name_of, tiled, without_resizing
from mmseq.pictures.displayable import displayable
from mmseq.pictures.palette import class_colours
from mmseq.pictures.prediction import Prediction, read_prediction

if TYPE_CHECKING:
    from mmengine.model import BaseModel


@dataclass(frozen=True)
class Prepared:
    """A picture that went through the pipeline: (H, W, 3) bytes to look at, and what ``test_step`` takes."""

    picture: np.ndarray
    data: dict[str, Any]


class Predictor:
    """A model with the pipeline of its config's test data.

    Args:
        model: of :func:`mmseq.model.trained.load_trained`.
        full_size: leave the pipeline's resizing out, so that pictures go in with all their pixels.
        tiles: predict tile by tile, likewise with all pixels.
        certainty: keep the probability of each pixel's class; for segmentors whose logits cover the picture.

    Attributes:
        classes: their names.
        palette: (classes, 3) bytes, a colour for each, those of the data set if it has any.
        from_files_alone: whether arrays are refused.
        seconds: in the model so far.

    Raises:
        InputError: a config without a pipeline for test data, or one that does not begin with loading a picture, or a
            model that cannot be tiled.
    """

    def __init__(
        self,
        model: 'BaseModel',
        *,
        full_size: bool = False,
        tiles: Tiles | None = None,
        certainty: bool = False,
    ) -> None:
        self.model = model
        self.seconds = 0.0
        self._view = lean(model) if tiles is None else tiled(lean(model), tiles)
        # Tiles need what one of them needs; the masks that they leave are run lengths.
        self._room = Room(self._view.test_step) if tiles is None and on_cpu(model) else None
        self.certainty = certainty
        self.classes, self.palette = class_colours(model)
        load, *rest = prediction_steps(model.cfg, full_size or tiles is not None)
        # Other loaders are for files that hold more than an array of three channels.
        self.from_files_alone = not name_of(load).endswith('LoadImageFromFile')
        take = dict(type='LoadImageFromNDArray', to_float32=load.get('to_float32', False))
        # There may be a model of the other task in this process, whose scope would be asked.
        with DefaultScope.overwrite_default_scope(model.cfg.get('default_scope', 'mmengine')):
            self._load, self._rest = Compose([load]), Compose(rest)
            self._take = None if self.from_files_alone else Compose([take])

    def predict(self, images: Sequence[str | Path | np.ndarray]) -> list[Prediction]:
        """Predict some pictures at once; those of one size in the model go through it together.

        Args:
            images: files, or (H, W, 3) bytes, red first.

        Raises:
            InputError: one of them cannot be read.
        """
        return self.run([self.prepare(image) for image in images])

    def prepare(self, image: str | Path | np.ndarray) -> Prepared:
        """Load a picture and put it through the pipeline; see :meth:`predict`."""
        loaded = self._from_array(image) if isinstance(image, np.ndarray) else self._from_file(str(image))
        height, width = loaded['img'].shape[:2]
        picture = displayable(loaded['img'], not self.from_files_alone)
        try:
            return Prepared(picture, self._rest(loaded))
        except (cv2.error, ArithmeticError) as error:
            # Of 20000 x 2 px, resizing to the size of tests leaves no height.
            name = 'an array' if isinstance(image, np.ndarray) else image
            raise InputError(
                f"{name}: its {width} x {height} px cannot be brought to the size of the config's tests; cut or pad it"
            ) from error

    def run(self, prepared: Sequence[Prepared]) -> list[Prediction]:
        """The model's word on prepared pictures, in their order.

        Only pictures of one size go together, so that none is padded to another's and its result depends on itself
        alone.
        """
        groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for i, one in enumerate(prepared):
            groups[tuple(one.data['inputs'].shape)].append(i)
        found: dict[int, Prediction] = {}
        for places in groups.values():
            begin = time.perf_counter()
            if self._room is not None:
                self._room.check([prepared[i].data for i in places], collate)
            with torch.no_grad():
                samples = self._view.test_step(collate([prepared[i].data for i in places]))
            # Pictures of many sizes leave holes.
            release_if_short()
            for i, sample in zip(places, samples):
                found[i] = self._read(prepared[i].picture, sample)
            # A GPU has finished when its results are here.
            self.seconds += time.perf_counter() - begin
        return [found[i] for i in range(len(prepared))]

    def _read(self, picture: np.ndarray, sample: Any) -> Prediction:
        prediction = read_prediction(picture, sample, self.model, len(self.classes), certainty=self.certainty)
        if prediction.instances is None:
            return prediction
        # Of tiles each has its own limit.
        own = cut_off_of(prediction.instances.scores, self.model.cfg)
        return replace(prediction, cut_off=sample.metainfo.get('cut_off', own))

    def inputs(self, prepared: Prepared) -> Tensor:
        """The normalised and padded (1, C, H, W) that the model's backbone gets."""
        return self.model.data_preprocessor(collate([prepared.data]), False)['inputs']

    def _from_array(self, image: np.ndarray) -> dict[str, Any]:
        if self._take is None:
            raise InputError('this config loads files of many channels; videos, cameras and arrays have three')
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise InputError(f'an array of {image.dtype} of shape {image.shape}: expected (H, W, 3) bytes')
        # Upstream's loaders give blue first.
        return self._take(dict(img=np.ascontiguousarray(image[:, :, ::-1]), img_id=0))

    def _from_file(self, path: str) -> dict[str, Any]:
        try:
            # OpenCV 4 reads a torn JPEG without a word.
            glance(path)
            try:
                return self._load(dict(img_path=path, img_id=0))
            except UNREADABLE:
                decode(path)
                raise
        except DamagedFileError as error:
            raise InputError(str(error)) from error


def collate(prepared: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """What ``test_step`` takes of what the pipeline gives; the samples are copies, since models write into them."""
    samples = [deepcopy(one['data_samples']) for one in prepared]
    return dict(inputs=[one['inputs'] for one in prepared], data_samples=samples)


def on_cpu(model: Any) -> bool:
    """Whether a model computes there; those without layers of torch do."""
    parameters = getattr(model, 'parameters', None)
    return parameters is None or next(parameters()).device.type == 'cpu'


def prediction_steps(cfg: Config, full_size: bool) -> list[dict[str, Any]]:
    """The transforms of a config's test data, without those that load annotations.

    Raises:
        InputError: there are none, or the first is no loader of pictures.
    """
    _, dataset = next(loader_datasets(cfg.get('test_dataloader'), 'test_dataloader'), ('', {}))
    steps = [dict(step) for step in deepcopy(dataset.get('pipeline') or cfg.get('test_pipeline') or [])]
    steps = [step for step in steps if 'Annotation' not in name_of(step)]
    if not steps or 'Load' not in name_of(steps[0]):
        raise InputError('config: test_dataloader.dataset.pipeline does not begin with loading a picture')
    return without_resizing(steps) if full_size else steps

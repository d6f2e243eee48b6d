"""mmseq in Python: a backbone, a classifier, a trained model on images, own data, a training, an evaluation.

    import mmseq

    backbone = mmseq.create_backbone('sequencer2d_s', out_strides=(4, 8, 16, 32))
    model = mmseq.load('work_dirs/run')
    result = model('street.jpg')
    result.draw().save('street_drawn.png')

These names are loaded when they are first used: ``import mmseq`` alone stays quick. What a command of ``mmseq`` does is
done by the same code, and bad input raises :class:`mmseq.errors.InputError` with the command's one line.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmengine.logging import print_log

from mmseq.checkpoints import FAMILIES
from mmseq.checkpoints.folder import choose_checkpoint
from mmseq.classify.classifier import FAMILIES as CLASSIFIERS
from mmseq.classify.classifier import build_classifier
from mmseq.classify.weights import load_weights
from mmseq.datasets.own.importing import import_data
from mmseq.engine import launch
from mmseq.errors import InputError
from mmseq.large.tiles import OVERLAP, Tiles
from mmseq.model.named import Named, find_model
from mmseq.model.trained import load_trained
from mmseq.predict.images import Image, read
from mmseq.predict.predictor import Predictor
from mmseq.predict.result import Result
from mmseq.runs.run import read_run
from mmseq.weights.arch_tables import archs, backbone_class

if TYPE_CHECKING:
    import torch
    from mmengine.config import Config
    from mmengine.model import BaseModel

    from mmseq.backbones.base import Backbone
    from mmseq.classify.classifier import Classifier

__all__ = [
    'Result',
    'Run',
    'TrainedModel',
    'create_backbone',
    'create_model',
    'evaluate',
    'import_data',
    'load',
    'train',
]

Path_ = str | os.PathLike[str]
"""Of a file or folder; a name or an address where that is meant."""
# Below it a detector is more often wrong than right, and `mmseq infer` leaves detections out.
SCORE = 0.3


def create_backbone(
    name: str,
    *,
    weights: Path_ | None = None,
    in_channels: int = 3,
    out_indices: Sequence[int] = (0, 1, 2, 3),
    out_strides: Sequence[int] | None = None,
    out_norm: bool = True,
    drop_path_rate: float = 0.0,
    frozen_stages: int = -1,
    with_cp: bool = False,
) -> 'Backbone':
    """A backbone that turns images (B, in_channels, H, W) into maps (B, C_i, ceil(H / s_i), ceil(W / s_i)).

    Its ``out_channels`` and ``out_strides`` are the C_i and s_i. Any H and W from 32 will do.

    Args:
        name: family and arch, as ``sequencer2d_s``, ``shiftvit_t``, ``vision_lstm_t`` or ``vsequencer_h``.
        weights: a file of any known layout or an address (``https://``, ``hf://``, ``timm://``, ``mmseq://``), or
            the name of weights that ship, loaded strictly; None begins with random weights.
        in_channels: channels of the images; the first convolution of the weights is fitted to them.
        out_indices: the stages whose maps are returned, ascending.
        out_strides: strides of the maps, resampled true to coordinates; None keeps the stages' own.
        out_norm: give each map a norm of its own.
        drop_path_rate: of the last block; it rises linearly from 0.
        frozen_stages: -1 trains everything, 0 freezes the stem, k the stem and the first k stages.
        with_cp: recompute activations in the backward pass instead of keeping them.

    Raises:
        InputError: no such name, weights that cannot be had or are of another model, or arguments that do not fit.
    """
    family, arch = family_and_arch('backbone', name)
    init_cfg = None if weights is None else dict(type='Pretrained', checkpoint=os.fspath(weights))
    try:
        made = backbone_class(family)(
            arch,
            in_channels=in_channels,
            out_indices=out_indices,
            out_strides=out_strides,
            out_norm=out_norm,
            drop_path_rate=drop_path_rate,
            frozen_stages=frozen_stages,
            with_cp=with_cp,
            init_cfg=init_cfg,
        )
    except ValueError as error:
        raise InputError(f'backbone {name}: {error}') from error
    made.init_weights()
    return made


def create_model(
    name: str,
    *,
    weights: Path_ | None = None,
    num_classes: int | None = None,
    in_channels: int = 3,
    pool: str = 'avg',
    drop_rate: float = 0.0,
    drop_path_rate: float = 0.0,
) -> 'Classifier':
    """A classifier with its authors' head: images (B, in_channels, H, W) to logits (B, num_classes).

    Any H and W from 32 will do; the authors' own are 224 px (:mod:`mmseq.classify.pixels`).

    Args:
        name: family and arch, as for :func:`create_backbone`.
        weights: a file of any known layout or an address, classifier included, loaded strictly; None begins with random
            weights.
        num_classes: None takes those of the weights, or 1000 without any; another number than theirs begins with a new
            head; 0 gives the pooled features.
        in_channels: channels of the images; the first convolution of the weights is fitted to them.
        pool: ``avg`` for the authors' pooling: the mean of all cells, of Vision-LSTM the first and the last one; empty
            for none, which gives logits of each cell (B, h, w, num_classes).
        drop_rate: dropout before the head.
        drop_path_rate: of the last block; it rises linearly from 0.

    Raises:
        InputError: no such name, or weights that cannot be had or are of another model.
    """
    family, arch = family_and_arch('model', name)
    key = next(key for key, cls in CLASSIFIERS.items() if cls.family == family)
    if pool not in ('avg', ''):
        raise InputError(f'model {name}: pool={pool!r}: expected avg, or nothing for none')
    classes = 1000 if num_classes is None else num_classes
    model = build_classifier(key, arch, classes, in_channels, drop_rate, drop_path_rate, pool)
    if weights is not None:
        print_log(f'{name}: {load_weights(model, weights, num_classes)}', 'current')
    return model


def family_and_arch(what: str, name: str) -> tuple[str, str]:
    """``sequencer2d_s`` to family and arch.

    Raises:
        InputError: there is none of that name; it gives the nearest.
    """
    known = {f'{family}_{arch}': (family, arch) for family in FAMILIES for arch in archs(family)}
    if name not in known:
        near = ', '.join(get_close_matches(name, known, 3, cutoff=0.4))
        raise InputError(f'{what} {name}: is none of {", ".join(known)}{f"; nearest: {near}" * bool(near)}')
    return known[name]


class TrainedModel:
    """A trained detector or segmentor: call it with images.

    Args:
        named: its config and checkpoint.
        device: ``cpu`` or ``cuda``; None takes a GPU if there is one.
        options: dotted keys and values that override the config.

    Attributes:
        config: the config, options included.
        module: the model, in evaluation mode.
        classes: their names.

    Raises:
        InputError: as :func:`load`.
    """

    config: 'Config'
    module: 'BaseModel'

    def __init__(
        self, named: Named, device: 'str | torch.device | None' = None, options: Mapping[str, Any] | None = None
    ) -> None:
        self.config, self.module = load_trained(named.config, named.trained, options=options, device=device)
        self._predictor = Predictor(self.module)
        self._title = f'{named.title}, {Path(named.trained).name}'
        self.classes = self._predictor.classes

    def __call__(
        self,
        images: Image | Sequence[Image] | Iterator[Image],
        *,
        score: float = SCORE,
        batch: int = 8,
        tiles: int | None = None,
        overlap: float = OVERLAP,
    ) -> Result | list[Result]:
        """Predict an image, or a list of them in batches.

        Args:
            images: one image, a list or an iterator: a file, an ``https://`` address of one, a PIL image, an array
                (H, W, 3) of bytes, red first, or a tensor (3, H, W) of bytes or of floats from 0 to 1. Text is one
                image.
            score: detections below it are left out.
            batch: images that are predicted at a time, or tiles of one; images of one size go through the model
                together.
            tiles: side in pixels of the tiles in which images are predicted at their own resolution; what borders cut
                is joined. None predicts them whole, in the size of the config's tests.
            overlap: share of a tile that the next one shows again.

        Returns:
            A :class:`Result` of an image, and a list of them of several.

        Raises:
            InputError: an image cannot be read; it says which.
        """
        if isinstance(images, Iterator):
            images = list(images)
        if batch < 1:
            raise InputError(f'batch={batch}: expected at least 1')
        predictor = self._predictor
        if tiles is not None:
            predictor = Predictor(self.module, tiles=Tiles(tiles, overlap, batch))
        if isinstance(images, (str, bytes, os.PathLike)) or not isinstance(images, Sequence):
            return predict([images], predictor, score)[0]
        return [
            result
            for at in range(0, len(images), batch)
            for result in predict(images[at : at + batch], predictor, score, at)
        ]

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self._title}: {type(self.module).__name__}, {len(self.classes)} classes)'


def predict(images: Sequence[Image], predictor: Predictor, score: float, first: int | None = None) -> list[Result]:
    """Predict some images, the first of them at the given place of a list."""
    prepared = [
        read(image, predictor, '' if first is None else f'image {first + place} of the list')
        for place, image in enumerate(images)
    ]
    return [
        Result(prediction.above(score), predictor.classes, predictor.palette) for prediction in predictor.run(prepared)
    ]


@dataclass(frozen=True)
class Run:
    """A work dir in which something was trained.

    Args:
        work_dir: the folder.
    """

    work_dir: Path

    @cached_property
    def metrics(self) -> dict[str, float]:
        """Of the latest evaluation, by name; empty if there was none."""
        return read_run(self.work_dir, self.work_dir.name).final

    @property
    def checkpoint(self) -> Path:
        """The best checkpoint, else the last one.

        Raises:
            InputError: there is none.
        """
        return choose_checkpoint(self.work_dir)[0]

    def load(self, device: 'str | torch.device | None' = None) -> TrainedModel:
        """The trained model; see :func:`load`."""
        return load(self, device=device)


Model = Path_ | tuple[Path_, Path_] | Run
"""What names a trained model: a work dir, a checkpoint or its address, a config and a checkpoint, or a run."""


def load(
    model: Model, *, device: 'str | torch.device | None' = None, options: Mapping[str, Any] | None = None
) -> TrainedModel:
    """A trained model, ready for images.

    Args:
        model: a work dir (its best checkpoint, else its last), a checkpoint that carries its config (a file, or an
            ``https://`` or ``hf://`` address), or a pair of config and checkpoint.
        device: ``cpu`` or ``cuda``; None takes a GPU if there is one.
        options: dotted keys and values that override the config, such as ``{'model.test_cfg.mode': 'slide'}``.

    Raises:
        InputError: there is no such model, its checkpoint does not fit it tensor by tensor, or there is no such device.
    """
    return TrainedModel(named(model), device, options)


def named(model: Model) -> Named:
    """The config and the checkpoint of what names a trained model.

    Raises:
        InputError: it names none.
    """
    if isinstance(model, Run):
        model = model.work_dir
    words = model if isinstance(model, tuple) else (model,)
    found, rest = find_model([os.fspath(word) for word in words])
    if rest:
        raise InputError(f'{rest[0]}: is one too many: {words[0]} already names a config and its checkpoint')
    return found


def train(
    config: Path_ | None = None,
    *,
    data: Path_ | None = None,
    epochs: int | None = None,
    image_size: int | None = None,
    work_dir: Path_ | None = None,
    options: Mapping[str, Any] | None = None,
    seed: int | None = None,
    resume: Path_ | None = None,
    anew: bool = False,
    load_from: Path_ | None = None,
    allow_partial: Sequence[str] = (),
    amp: str | None = None,
    verbose: bool = False,
) -> Run:
    """Train and evaluate as a config says, in this process.

    Args:
        config: a file, or the name of a config that comes with mmseq, as ``mask_rcnn_seq2d_s_coco``; None takes one for
            ``data``.
        data: a data card, as a path or as :func:`import_data` returns it, whose images and labels take the place of
            the config's; all that depends on them follows.
        epochs: length of the run, with the schedule in proportion.
        image_size: side of a segmentor's crop, or shorter side of a detector's images, in pixels.
        work_dir: where outputs go; ``work_dirs/<config name>`` by default.
        options: dotted keys and values that override the config.
        seed: of all random numbers.
        resume: a checkpoint to go on from, or ``auto`` for the newest one of the work dir.
        anew: move an earlier run in the work dir aside.
        load_from: a checkpoint of a whole model to begin with.
        allow_partial: shell patterns of its tensors that need not fit and then begin anew.
        amp: ``bfloat16`` or ``float16`` for mixed precision.
        verbose: print all that the log file gets.

    Returns:
        The run: its work dir, metrics, best checkpoint and trained model.

    Raises:
        InputError: bad input, before any training.
    """
    runner = launch.train(
        text(config),
        data=text(data),
        epochs=epochs,
        image_size=image_size,
        options=options,
        work_dir=text(work_dir),
        seed=seed,
        resume=text(resume),
        anew=anew,
        load_from=text(load_from),
        allow_partial=allow_partial,
        amp=amp,
        verbose=verbose,
    )
    return Run(Path(runner.work_dir))


def text(path: Path_ | None) -> str | None:
    """A path as the commands take it."""
    return None if path is None else os.fspath(path)


def evaluate(
    model: Model,
    *,
    data: Path_ | None = None,
    image_size: int | None = None,
    work_dir: Path_ | None = None,
    options: Mapping[str, Any] | None = None,
    out: Path_ | None = None,
    show_dir: Path_ | None = None,
    tta: bool = False,
    tiles: int | None = None,
    overlap: float = OVERLAP,
    verbose: bool = False,
) -> dict[str, float]:
    """Evaluate a trained model on the test data of its config.

    Args:
        model: as in :func:`load`.
        data: a data card, whose test images take the place of the config's.
        image_size: as for :func:`train`.
        work_dir: where ``metrics.json`` and the rest go; the model's work dir by default.
        options: dotted keys and values that override the config.
        out: folder for the predictions.
        show_dir: folder for pictures of truth and prediction.
        tta: average over scales and flips.
        tiles: side in pixels of the tiles in which images are predicted at their own resolution.
        overlap: share of a tile that the next one shows again.
        verbose: print all that the log file gets.

    Returns:
        The metrics by name.

    Raises:
        InputError: bad input, before any inference.
    """
    found = named(model)
    return launch.evaluate(
        found.config,
        found.trained,
        data=text(data),
        image_size=image_size,
        options=options,
        work_dir=text(work_dir),
        out=text(out),
        show_dir=text(show_dir),
        tta=tta,
        tiles=None if tiles is None else Tiles(tiles, overlap),
        verbose=verbose,
    )

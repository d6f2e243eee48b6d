"""What ``mmseq pretrain`` makes of a config: backbone, data, image size, and what follows from the number of images.

- Side: the usual shorter side of the images, at most 224 px.
- Packed: up to 96 px, where decoding would take longer than training; not if a config augments what it decodes.
- Batch: 256 images of up to 96 px and 64 of larger ones, in all processes together; a twentieth of an epoch at most.
- Rate: 2e-3 for 256 images, or what the config has for its own, by the root of the ratio.
- Epochs: three million views, 30 to 300 epochs.
- Evaluations and checkpoints: after each epoch of up to 50, so that a kill costs minutes; 50 of a longer run.
"""

import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from statistics import median
from typing import Any

import torch
from mmengine.config import Config, ConfigDict

from mmseq.checkpoints import FAMILIES
from mmseq.classify.image_classifier import ImageClassifier
from mmseq.datasets.checks.images import UNREADABLE
from mmseq.datasets.classes.packing import Packed, is_packed, pack, read_packed
from mmseq.datasets.classes.sources import Classes, read_classes
from mmseq.datasets.formats import open_image
from mmseq.engine.config_classes import class_of
from mmseq.engine.own.recipe import count_images, scale_rate, whole
from mmseq.engine.recipe import accumulation
from mmseq.engine.schedule import set_length
from mmseq.errors import InputError
from mmseq.nested import walk
from mmseq.ranks import is_first_process, world_size
from mmseq.registry import MODELS
from mmseq.weights.arch_tables import archs, backbone_class

BASE = 'mmseq::_base_/pretrain'
TIMM = 'timm://'
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
LARGEST_PACKED, LARGEST_SIDE, SMALLEST_SIDE = 96, 224, 32
SAMPLED = 32
VIEWS, FEWEST_EPOCHS, MOST_EPOCHS = 3_000_000, 30, 300
BATCH, BATCH_OF_LARGE, BATCHES_OF_AN_EPOCH = 256, 64, 20
EVALUATIONS = 50
# Seconds that a process waits for the first one to pack.
PATIENCE = 3600
NO_NAME = r'[^\w.-]+'


@dataclass
class Pretraining:
    """A change of a config, as :class:`mmseq.engine.own.changes.OwnData` is one: a classifier on a user's images.

    Args:
        backbone: family and arch, as ``sequencer2d_nano``; ``timm://NAME``; or the config of a classifier, whose recipe
            is kept.
        data: folder or list of images, or a packed data set.
        epochs: of the run.
        image_size: side of the images in pixels.
        batch: images of a process in an iteration.
        rate: highest learning rate.
        pack: folder of the packed images; empty to decode files as they are read; None: as the side says.
        weights: that the backbone begins with.
        tell: gets lines on packing.
        lines: what was decided, once the config is changed.
    """

    backbone: str
    data: str
    epochs: int | None = None
    image_size: int | None = None
    batch: int | None = None
    rate: float | None = None
    pack: str | None = None
    weights: str | None = None
    tell: Callable[[str], None] = print
    lines: list[str] = field(default_factory=list)

    @property
    def is_config(self) -> bool:
        """Whether a config was given in the place of a backbone's name."""
        return '::' in self.backbone or self.backbone.endswith('.py') or os.path.exists(self.backbone)

    @property
    def name(self) -> str:
        """Of the default work dir."""
        words = f'pretrain_{Path(self.backbone.removeprefix("mmseq::")).stem}_{Path(self.data).stem}'
        return re.sub(NO_NAME, '_', words)

    def config(self, given: str | None) -> str:
        """The config that is changed."""
        if self.is_config:
            return self.backbone
        backbone_config(self.backbone)
        return BASE

    def notes(self, config: str) -> list[str]:
        """Lines for the log."""
        return [f'{self.backbone} on the images of {self.data}', *self.lines]

    def __call__(self, cfg: Config, options: Mapping[str, Any]) -> None:
        """Change a config as it was read from its file; ``options`` will override it and are heeded.

        Raises:
            InputError: no classifier, bad data, or a backbone that does not fit.
        """
        self.lines.clear()
        self._check(cfg)
        if not self.is_config:
            cfg.model.backbone = ConfigDict(backbone_config(self.backbone))
        if self.weights:
            cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint=self.weights)
        names = self._put_data(cfg)
        cfg.model.num_classes = len(names)
        self._set_length(cfg, options)
        if not cfg.get('work_dir'):
            cfg.work_dir = str(Path('work_dirs') / self.name)

    def _check(self, cfg: Config) -> None:
        model = class_of(MODELS, cfg.get('model') or {})
        if not (isinstance(model, type) and issubclass(model, ImageClassifier)):
            raise InputError(f'config {self.backbone}: is of no classifier (model.type=mmseq.ImageClassifier)')

    def prepare(self) -> None:
        """Pack the images, where they are to be packed and no config has a word in it: before other processes start."""
        if not self.is_config:
            self._data(None)

    def _data(self, side: int | None, decoded: bool = False) -> tuple[int, Packed | Classes]:
        """The side of the images, and where they are; packed where that is due, and no config decodes them itself."""
        if is_packed(self.data):
            packed = read_packed(self.data)
            return self.image_size or side or packed.side, packed
        found = read_classes(self.data)
        side = self.image_size or side or usual_side(found)
        if self.pack == '' or (self.pack is None and (decoded or side > LARGEST_PACKED)):
            return side, found
        root = self.pack or str(Path('work_dirs') / 'packed' / f'{re.sub(NO_NAME, "_", Path(self.data).stem)}_{side}px')
        return side, pack(found, side, root, self.tell) if is_first_process() else waited_for(root)

    def _put_data(self, cfg: Config) -> tuple[str, ...]:
        """Put the images into the loaders; gives the names of the classes."""
        decoded = self.is_config and str(cfg.train_dataloader.dataset.type).endswith('ClassImages')
        side, found = self._data(config_side(cfg) if self.is_config else None, decoded)
        packed = isinstance(found, Packed)
        for name in LOADERS:
            loader = cfg[name]
            loader.dataset = ConfigDict(dataset_of(loader.dataset, name, found, side, self.data))
            set_workers(loader, packed)
        self.lines += data_lines(found, side)
        return found.names

    def _set_length(self, cfg: Config, options: Mapping[str, Any]) -> None:
        """Batch, rate, epochs, schedule and intervals."""
        images, processes = count_images(cfg), world_size()
        batch = self._set_batch(cfg, options, images, processes)
        rate = self._set_rate(cfg, options, processes)
        per_epoch = images // processes // batch
        usual = cfg.train_cfg.max_epochs if self.is_config else usual_epochs(images)
        epochs = whole(options, 'train_cfg.max_epochs') or self.epochs or usual
        warm_up = set_length(cfg, epochs, epochs * per_epoch)
        interval = set_intervals(cfg, epochs, per_epoch)
        self.lines.append(
            f'{epochs} epochs of {per_epoch} batches of {batch} images in {processes} process{"es" * (processes > 1)}, '
            f'rate {rate:g} after {warm_up} iterations of warm-up, evaluated and saved every {interval} epochs'
        )

    def _set_batch(self, cfg: Config, options: Mapping[str, Any], images: int, processes: int) -> int:
        """Images of a process in an iteration: as asked for, else what suits their number and size."""
        batch = whole(options, 'train_dataloader.batch_size') or self.batch
        if batch is None:
            small = (config_side(cfg) or 0) <= LARGEST_PACKED
            own = cfg.train_dataloader.batch_size * processes
            most = own if self.is_config else BATCH if small else BATCH_OF_LARGE
            batch = usual_batch(images, most, processes)
        cfg.train_dataloader.batch_size = batch = max(1, min(batch, images // processes))
        return batch

    def _set_rate(self, cfg: Config, options: Mapping[str, Any], processes: int) -> float:
        """The highest rate: as asked for, or the config's by the images of an update."""
        optimizer, accumulated = cfg.optim_wrapper.optimizer, whole(options, 'optim_wrapper.accumulative_counts')
        if self.rate is None:
            self.lines += scale_rate(cfg, accumulated, processes)
        else:
            optimizer.lr = self.rate
            images = cfg.train_dataloader.batch_size * processes * (accumulated or accumulation(cfg))
            cfg.auto_scale_lr = dict(enable=False, base_batch_size=images)
        return float(optimizer.lr)


def set_intervals(cfg: Config, epochs: int, per_epoch: int) -> int:
    """Evaluate and save often, and at the end; gives the epochs between."""
    interval = max(1, round(epochs / EVALUATIONS))
    cfg.train_cfg.val_interval = interval
    if last := epochs % interval:
        cfg.train_cfg.dynamic_intervals = [(epochs - last + 1, epochs)]
    cfg.default_hooks.checkpoint.update(interval=interval, save_last=True)
    cfg.default_hooks.logger.interval = max(1, min(cfg.default_hooks.logger.interval, per_epoch))
    return interval


def data_lines(found: Packed | Classes, side: int) -> list[str]:
    """What is to be told of the images."""
    if isinstance(found, Packed):
        counts, where = (found.counts['train'], found.counts['val']), f'packed in {found.root}'
    else:
        counts, where = (len(found.train.paths), len(found.val.paths)), 'decoded as they are read'
    images = f'{counts[0]} images to train on and {counts[1]} for validation'
    lines = [f'{images}, {len(found.names)} classes, {side} px, {where}']
    if isinstance(found, Packed):
        return lines + [f'{len(found.damaged)} damaged files left out, first {name}' for name in found.damaged[:1]]
    return [*lines, *found.notes]


def backbone_config(name: str) -> dict[str, Any]:
    """The config of a backbone by its name, its last stage alone.

    Raises:
        InputError: no such name.
    """
    if name.startswith(TIMM):
        found: dict[str, Any] = dict(type='mmseq.Timm', name=name.removeprefix(TIMM))
        with torch.device('meta'):
            levels = MODELS.build(dict(found)).num_stages
        return dict(found, out_indices=(levels - 1,))
    known = {f'{family}_{arch}': (family, arch) for family in FAMILIES for arch in archs(family)}
    if name not in known:
        near = get_close_matches(name, known, 3, cutoff=0.4) or list(known)
        raise InputError(
            f'backbone {name}: no such name, nor a config; nearest: {", ".join(near)}; a model of timm is {TIMM}NAME'
        )
    family, arch = known[name]
    cls: Any = backbone_class(family)
    return dict(type=f'mmseq.{cls.__name__}', arch=arch, out_indices=(3,))


def usual_side(classes: Classes) -> int:
    """The median of the shorter sides of some images, in steps of 8 px, from 32 to 224 px."""
    paths, sides = classes.train.paths, []
    for path in paths[:: max(1, len(paths) // SAMPLED)]:
        try:
            with open_image(path) as image:
                sides.append(min(image.size))
        except UNREADABLE:
            # Whoever decodes it counts it.
            continue
    if not sides:
        raise InputError(
            f'data: none of {len(paths[:: max(1, len(paths) // SAMPLED)])} files is an image, as {paths[0]}'
        )
    return int(min(max(median(sides) // 8 * 8, SMALLEST_SIDE), LARGEST_SIDE))


def waited_for(root: str) -> Packed:
    """The packed data that the first process writes.

    Raises:
        InputError: it has not within an hour.
    """
    end = time.monotonic() + PATIENCE
    while not is_packed(root):
        if time.monotonic() > end:
            raise InputError(f'packed data {root}: not there after {PATIENCE} s; pack in one process first')
        time.sleep(1)
    return read_packed(root)


def config_side(cfg: Config) -> int | None:
    """The side of the samples that a config trains on."""
    sides = [node['image_size'] for node in walk(cfg.train_dataloader.dataset) if node.get('image_size')]
    return sides[-1] if sides else None


def dataset_of(before: Mapping[str, Any], loader: str, found: Packed | Classes, side: int, data: str) -> dict[str, Any]:
    """The data set of a loader: what the config says of augmentation stays where it is of the same kind."""
    part = 'train' if loader == 'train_dataloader' else 'val'
    kind = 'mmseq.PackedImages' if isinstance(found, Packed) else 'mmseq.ClassImages'
    root = str(found.root) if isinstance(found, Packed) else data
    kept = dict(before) if before.get('type') == kind else {}
    if kind == 'mmseq.PackedImages':
        usual = dict(scale=(0.25, 1.0), flip=0.5) if part == 'train' and not kept else {}
        return dict(usual, **kept) | dict(type=kind, data_root=root, part=part, image_size=side)
    steps = kept.pop('pipeline', None) or [dict(type='mmseq.TimmAugment', training=part == 'train')]
    for step in walk(steps):
        if str(step.get('type')).endswith('TimmAugment'):
            step['image_size'] = side
    return kept | dict(type=kind, data_root=root, part=part, pipeline=steps)


def set_workers(loader: ConfigDict, packed: bool) -> None:
    """Workers by the processors there are: packed images need none without a GPU, decoding needs a part of them."""
    share = (os.cpu_count() or 1) // world_size()
    workers = min(16, share - 1) if torch.cuda.is_available() else 0 if packed else share // 2
    workers = max(0, workers)
    loader.update(num_workers=workers, persistent_workers=workers > 0)


def usual_batch(images: int, most: int, processes: int) -> int:
    """The largest power of two, in each process, of which an epoch has twenty; two at least."""
    wanted = min(most, images // BATCHES_OF_AN_EPOCH) // processes
    return max(2, 1 << max(wanted, 1).bit_length() - 1)


def usual_epochs(images: int) -> int:
    """The length for so many images."""
    return min(max(round(VIEWS / images), FEWEST_EPOCHS), MOST_EPOCHS)

"""What of a model is exported: from pixels to maps, labels or detections; and what upstream makes of the same."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from mmengine.config import Config
from torch import Tensor, nn
from torch.nn import functional as F

from mmseq.datasets.nesting import loader_datasets
from mmseq.errors import InputError
from mmseq.export.portable import portable
from mmseq.model.shape import size_divisor
from mmseq.ops.symbolic import ceil_div, first
from mmseq.pictures.palette import class_colours, head_classes

if TYPE_CHECKING:
    from mmengine.model import BaseModel

PARTS = ('backbone', 'features', 'model')


@dataclass(frozen=True)
class Part:
    """What is exported.

    Args:
        name: of ``PARTS``.
        module: takes (B, channels, H, W) and gives a tuple of maps; of detectors see
            :class:`mmseq.export.detection.detector.Detector`.
        outputs: a name for each of them.
        reference: the same from upstream's own code, to compare with.
        channels: of the images.
        least: pixels that a side has at least.
        about: what a user of the file has to know, as text.
        detector: it takes one image at a time, and the size of the picture that was made the image.
        picture: it takes (H, W, 3) bytes, red first, in place of images.
    """

    name: str
    module: nn.Module
    outputs: tuple[str, ...]
    reference: Any
    channels: int
    least: int
    about: dict[str, str]
    detector: bool = False
    picture: bool = False

    @property
    def inputs(self) -> tuple[str, ...]:
        """A name for each."""
        return ('picture' if self.picture else 'images', *(('size',) if self.detector else ()))

    @property
    def one(self) -> bool:
        """Whether it takes one image at a time."""
        return self.detector or self.picture

    def given(self, images: Tensor, size: Tensor) -> tuple[Tensor, ...]:
        """Its inputs, of images (B, channels, H, W) and the size (2,) of the picture that they were made of."""
        first_one = images[0].permute(1, 2, 0).to(torch.uint8) if self.picture else images
        return (first_one, size) if self.detector else (first_one,)


class Pixels(nn.Module):
    """From images to what the model sees: normalised as its data preprocessor does, and padded to its divisor."""

    mean: Tensor
    std: Tensor

    def __init__(self, options: dict[str, Any], divisor: int, normalised: bool) -> None:
        super().__init__()
        self.divisor = divisor
        self.fill = options.get('pad_val', options.get('pad_value', 0))
        self.normalises = not normalised and options.get('mean') is not None
        for name in ('mean', 'std') if self.normalises else ():
            self.register_buffer(name, torch.tensor(options[name], dtype=torch.float32).view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        if self.normalises:
            images = (images - self.mean) / self.std
        if self.divisor == 1:
            return images
        bottom, right = (ceil_div(n, self.divisor) * self.divisor - n for n in images.shape[2:])
        return F.pad(images, (0, right, 0, bottom), value=self.fill)


class FromPicture(nn.Module):
    """A module of images for (H, W, 3) bytes, red first, as decoders of pictures give them.

    Args:
        module: of images, and of what else comes.
        flipped: the images have blue first.
    """

    def __init__(self, module: nn.Module, flipped: bool) -> None:
        super().__init__()
        self.module, self.flipped = module, flipped

    def forward(self, picture: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
        images = picture.permute(2, 0, 1)[None].float()
        return self.module(images.flip(1) if self.flipped else images, *others)


class Maps(nn.Module):
    """Images to the maps of a backbone, with or without the neck behind it."""

    def __init__(self, pixels: Pixels, body: nn.Module) -> None:
        super().__init__()
        self.pixels, self.body = pixels, body

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.body(self.pixels(images)))


class Features(nn.Module):
    """A model's backbone and neck."""

    def __init__(self, model: 'BaseModel') -> None:
        super().__init__()
        self.backbone, self.neck = model.backbone, model.neck if model.with_neck else nn.Identity()

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.neck(self.backbone(images)))


class Segmentor(nn.Module):
    """Images to logits (B, classes, H, W) and labels (B, H, W), whole images at a time."""

    def __init__(self, pixels: Pixels, model: 'BaseModel') -> None:
        super().__init__()
        self.pixels, self.model = pixels, model

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        x = self.pixels(images)
        size = x.shape[2:]
        logits = self.model.encode_decode(x, [dict(img_shape=size, ori_shape=size, pad_shape=size)])
        logits = first(first(logits, 2, images.shape[2]), 3, images.shape[3])
        return logits, labels_of(logits, self.model)


def labels_of(logits: Tensor, model: 'BaseModel') -> Tensor:
    """Labels (B, H, W) as upstream decides them, in bytes up to 256 classes."""
    if model.out_channels == 1:
        return (logits[:, 0].sigmoid() > model.decode_head.threshold).to(torch.uint8)
    return logits.argmax(dim=1).to(torch.uint8 if model.out_channels <= 256 else torch.int32)


def part_of(
    model: 'BaseModel', cfg: Config, name: str = 'model', normalised: bool = False, picture: bool = False
) -> Part:
    """The part of a model that a name asks for.

    Args:
        model: a segmentor or detector of upstream's kind, on the CPU.
        cfg: its config.
        name: of ``PARTS``.
        normalised: the images come normalised; otherwise they come as pixels from 0 to 255.
        picture: one image comes as (H, W, 3) bytes, red first, in place of ``images``.

    Raises:
        InputError: the model has no such part, or one that cannot be exported.
    """
    options = dict(cfg.model.get('data_preprocessor') or {})
    if (options.get('test_cfg') or {}).get('size'):
        raise InputError('data_preprocessor.test_cfg.size: images of any size are exported; give size_divisor instead')
    channels = getattr(model.backbone, 'in_channels', 3)
    if picture and (normalised or channels != 3):
        raise InputError(f'pictures are bytes of 3 channels; this model takes {channels}, normalised: {normalised}')
    # A backbone pads by itself.
    pixels = Pixels(options, 1 if name == 'backbone' else size_divisor(cfg), normalised)
    detector = name == 'model' and not hasattr(model, 'decode_head')
    if detector:
        module, outputs, reference = detector_of(model, pixels, Loader(options, normalised))
    else:
        module, outputs = maps_of(model, name, pixels, channels)
        reference = UpstreamReference(model, name, Loader(options, normalised))
    if picture:
        module = FromPicture(module, flipped=not options.get('bgr_to_rgb'))
    # Necks halve the smallest map once more, and less than two cells are a case of their own.
    least = 64 if name != 'backbone' and model.with_neck else 32
    told = about(model, cfg, options, normalised) | dict(least=str(least))
    if name == 'model':
        check_classes(model, json.loads(told['classes']))
    return Part(name, module.eval(), outputs, reference, channels, least, told, detector, picture)


def check_classes(model: 'BaseModel', names: Sequence[str]) -> None:
    """Raises InputError if the data name more or fewer classes than the heads tell apart: labels would be misnamed."""
    # Auxiliary heads are not in the file.
    count = model.decode_head.num_classes if hasattr(model, 'decode_head') else head_classes(model)
    if len(names) != count:
        raise InputError(
            f'the heads tell {count} classes apart, and the data name {len(names)} ({", ".join(names)}); give the '
            'config the data that the model was trained on, or set num_classes of its heads'
        )


def maps_of(model: 'BaseModel', name: str, pixels: Pixels, channels: int) -> tuple[nn.Module, tuple[str, ...]]:
    """A module of maps, and their names."""
    if name == 'model':
        return Segmentor(pixels, portable(model)), ('logits', 'labels')
    body = portable(model.backbone if name == 'backbone' else Features(model))
    with torch.no_grad():
        levels = len(body(torch.zeros(1, channels, 64, 64)))
    return Maps(pixels, body), tuple(f'level{i}' for i in range(levels))


def detector_of(model: 'BaseModel', pixels: Pixels, loader: 'Loader') -> tuple[nn.Module, tuple[str, ...], Any]:
    """A detector's module, its outputs' names and its reference; raises InputError as ``part_of`` does."""
    # Imported where it is used: segmentation needs no mmdet.
    from mmseq.export.detection import detector

    detector.check(model)
    module = detector.Detector(pixels, portable(model))
    return module, detector.outputs_of(model), detector.DetectorReference(model, loader)


def about(model: 'BaseModel', cfg: Config, options: dict[str, Any], normalised: bool) -> dict[str, str]:
    """For the file's metadata: what goes in, what the labels mean, and the config as far as predictions need it."""
    order = 'RGB' if options.get('bgr_to_rgb') else 'as the config loads them'
    found = dict(channels=order, values='normalised' if normalised else '0 to 255', config=config_text(cfg))
    if options.get('mean') is not None:
        found.update(mean=json.dumps(list(options['mean'])), std=json.dumps(list(options['std'])))
    classes, palette = class_colours(model)
    found.update(classes=json.dumps(classes), palette=json.dumps(palette.tolist()))
    if hasattr(model, 'decode_head'):
        threshold = getattr(model.decode_head, 'threshold', None)
        found['segmentor'] = json.dumps(dict(align_corners=model.align_corners, threshold=threshold))
    return found


def config_text(cfg: Config) -> str:
    """The config of the model and of the pipeline before it, without places on this machine."""
    model = without(cfg.model.to_dict(), ('init_cfg', 'train_cfg'))
    kept: dict[str, Any] = dict(default_scope=cfg.get('default_scope', 'mmengine'), model=model)
    _, dataset = next(loader_datasets(cfg.get('test_dataloader'), 'test_dataloader'), ('', {}))
    if pipeline := dataset.get('pipeline') or cfg.get('test_pipeline'):
        kept['test_pipeline'] = pipeline
    return str(Config(kept).pretty_text)


def without(tree: Any, keys: Sequence[str]) -> Any:
    """Nested values without some keys."""
    if isinstance(tree, dict):
        return {key: without(value, keys) for key, value in tree.items() if key not in keys}
    return type(tree)(without(value, keys) for value in tree) if isinstance(tree, (list, tuple)) else tree


class Loader:
    """From a part's images to pixels in the order in which the config loads them, for the model's data preprocessor.

    Args:
        options: of the data preprocessor.
        normalised: the images come normalised.
    """

    def __init__(self, options: dict[str, Any], normalised: bool) -> None:
        self.options, self.normalised = options, normalised

    def __call__(self, images: Tensor) -> Tensor:
        if self.normalised and self.options.get('mean') is not None:
            scale, shift = (torch.tensor(self.options[name]).view(-1, 1, 1) for name in ('std', 'mean'))
            images = images * scale + shift
        turned = images.shape[1] == 3 and (self.options.get('bgr_to_rgb') or self.options.get('rgb_to_bgr'))
        return images.flip(1) if turned else images


class UpstreamReference:
    """Upstream's own way from images to a part's outputs, through its data preprocessor and its functions."""

    def __init__(self, model: 'BaseModel', part: str, loader: Loader) -> None:
        self.model, self.part, self.loader = model, part, loader

    @torch.no_grad()
    def __call__(self, images: Tensor) -> tuple[Tensor, ...]:
        """What the exported part has to answer."""
        x = self.prepared(images)
        if self.part == 'backbone':
            return tuple(self.model.backbone(x[:, :, : images.shape[2], : images.shape[3]]))
        if self.part == 'features':
            return tuple(self.model.extract_feat(x))
        size = tuple(x.shape[2:])
        logits = self.model.whole_inference(x, [dict(img_shape=size, ori_shape=size, pad_shape=size) for _ in x])
        logits = logits[:, :, : images.shape[2], : images.shape[3]]
        found = self.model.postprocess_result(logits)
        return logits, torch.stack([sample.pred_sem_seg.data[0] for sample in found])

    def scores(self, logits: Tensor) -> Tensor:
        """Logits (B, C, H, W), C > 1, of which the label is the largest; a lone class stands against its threshold."""
        if logits.shape[1] > 1:
            return logits
        threshold = torch.tensor(self.model.decode_head.threshold).logit()
        return torch.cat([threshold.expand_as(logits), logits], dim=1)

    def prepared(self, images: Tensor) -> Tensor:
        """Through the model's data preprocessor."""
        samples = None
        if hasattr(self.model, 'decode_head'):
            # Imported where it is used: detection needs no mmseg.
            from mmseg.structures import SegDataSample

            samples = [SegDataSample() for _ in images]
        inputs = list(self.loader(images))
        return self.model.data_preprocessor(dict(inputs=inputs, data_samples=samples), False)['inputs']

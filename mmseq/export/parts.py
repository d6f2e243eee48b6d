"""What of a model is exported: from pixels to feature maps or to labels, and what upstream makes of the same pixels."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from mmengine.config import Config
from torch import Tensor, nn
from torch.nn import functional as F

from mmseq.errors import InputError
from mmseq.export.portable import portable
from mmseq.model.shape import size_divisor
from mmseq.ops.symbolic import ceil_div, first

if TYPE_CHECKING:
    from mmengine.model import BaseModel

PARTS = ('backbone', 'features', 'segmentor')


@dataclass(frozen=True)
class Part:
    """What is exported.

    Args:
        name: of ``PARTS``.
        module: takes (B, channels, H, W) and gives a tuple of maps.
        outputs: a name for each of them.
        reference: the same from upstream's own code, to compare with.
        channels: of the images.
        least: pixels that a side has at least.
        about: what a user of the file has to know, as text.
    """

    name: str
    module: nn.Module
    outputs: tuple[str, ...]
    reference: 'UpstreamReference'
    channels: int
    least: int
    about: dict[str, str]


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


def part_of(model: 'BaseModel', cfg: Config, name: str | None = None, normalised: bool = False) -> Part:
    """The part of a model that a name asks for.

    Args:
        model: a segmentor or detector of upstream's kind, on the CPU.
        cfg: its config.
        name: of ``PARTS``; None is a segmentor as a whole.
        normalised: the images come normalised; otherwise they come as pixels from 0 to 255.

    Raises:
        InputError: the model has no such part, or one that cannot be exported.
    """
    name = name or 'segmentor'
    kind = type(model).__name__
    if name == 'segmentor' and not hasattr(model, 'decode_head'):
        raise InputError(
            f'{kind} is no segmentor, and detections cannot be exported: how many boxes there are depends on the '
            'picture; export what stands before them with --part features (backbone and neck) or --part backbone'
        )
    options = dict(cfg.model.get('data_preprocessor') or {})
    if (options.get('test_cfg') or {}).get('size'):
        raise InputError('data_preprocessor.test_cfg.size: images of any size are exported; give size_divisor instead')
    # A backbone pads by itself.
    divisor = 1 if name == 'backbone' else size_divisor(cfg)
    pixels, backbone = Pixels(options, divisor, normalised), model.backbone
    channels = getattr(backbone, 'in_channels', 3)
    reference = UpstreamReference(model, name, options, normalised)
    if name == 'segmentor':
        module: nn.Module = Segmentor(pixels, portable(model))
        outputs: tuple[str, ...] = ('logits', 'labels')
    else:
        body = portable(backbone if name == 'backbone' else Features(model))
        module = Maps(pixels, body)
        with torch.no_grad():
            levels = len(body(torch.zeros(1, channels, 64, 64)))
        outputs = tuple(f'level{i}' for i in range(levels))
    # Necks halve the smallest map once more, and less than two cells are a case of their own.
    least = 64 if name != 'backbone' and model.with_neck else 32
    return Part(name, module.eval(), outputs, reference, channels, least, about(model, options, normalised))


def about(model: 'BaseModel', options: dict[str, Any], normalised: bool) -> dict[str, str]:
    """For the file's metadata: what goes in and what the labels mean."""
    order = 'RGB' if options.get('bgr_to_rgb') else 'as the config loads them'
    found = dict(channels=order, values='normalised' if normalised else '0 to 255')
    if options.get('mean') is not None:
        found.update(mean=json.dumps(list(options['mean'])), std=json.dumps(list(options['std'])))
    for key in ('classes', 'palette'):
        if model.dataset_meta.get(key) is not None:
            found[key] = json.dumps([x if isinstance(x, str) else list(x) for x in model.dataset_meta[key]])
    return found


class UpstreamReference:
    """Upstream's own way from images to a part's outputs, through its data preprocessor and its functions."""

    def __init__(self, model: 'BaseModel', part: str, options: dict[str, Any], normalised: bool) -> None:
        self.model, self.part, self.options, self.normalised = model, part, options, normalised

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
        """Through the model's data preprocessor, which wants pixels in the order in which they are loaded."""
        mean = self.options.get('mean')
        if self.normalised and mean is not None:
            scale, shift = (torch.tensor(self.options[name]).view(-1, 1, 1) for name in ('std', 'mean'))
            images = images * scale + shift
        if images.shape[1] == 3 and (self.options.get('bgr_to_rgb') or self.options.get('rgb_to_bgr')):
            images = images.flip(1)
        samples = None
        if hasattr(self.model, 'decode_head'):
            # Imported where it is used: detection needs no mmseg.
            from mmseg.structures import SegDataSample

            samples = [SegDataSample() for _ in images]
        return self.model.data_preprocessor(dict(inputs=list(images), data_samples=samples), False)['inputs']

"""Heads that look at regions: mmdet's standard and cascaded ones, with or without masks."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.ops import roi_align

from mmseq.errors import InputError
from mmseq.export.detection.suppression import Found, best


def check_regions(head: nn.Module) -> None:
    """Raises InputError if a head looks at regions in a way of its own."""
    from mmdet.models.roi_heads import CascadeRoIHead, StandardRoIHead

    if type(head) not in (StandardRoIHead, CascadeRoIHead):
        raise InputError(
            f'{type(head).__name__} looks at regions in a way of its own, which is not exported; '
            '--part features exports what stands before it'
        )


def detect(head: Any, maps: Sequence[Tensor], proposals: Tensor, shape: tuple[int, int]) -> Found:
    """What a head finds in proposed boxes (N, 4) of one image of ``shape``."""
    stages = head.bbox_head if isinstance(head.bbox_head, nn.ModuleList) else [head.bbox_head]
    boxes, deltas, total = proposals, proposals, torch.zeros(())
    for number, stage in enumerate(stages):
        scores, deltas = stage(pooled(at(head.bbox_roi_extractor, number), maps, boxes))
        total = total + scores
        if number < len(stages) - 1:
            boxes = stage.regress_by_class(boxes, scores[:, :-1].argmax(1), deltas, dict(img_shape=shape))
    cfg = head.test_cfg
    return best(
        of_classes(stages[-1], boxes, total / len(stages), deltas, shape), cfg.score_thr, cfg.nms, cfg.max_per_img
    )


def at(modules: Any, number: int) -> Any:
    """A stage's own, or that of all."""
    return modules[number] if isinstance(modules, nn.ModuleList) else modules


def of_classes(stage: Any, regions: Tensor, logits: Tensor, deltas: Tensor, shape: tuple[int, int]) -> Found:
    """A candidate for each region and class, from logits (N, classes + 1)."""
    scores = logits.softmax(-1)[:, :-1]
    number, classes = scores.shape
    boxes = stage.bbox_coder.decode(regions, deltas, max_shape=shape).reshape(number, -1, 4)
    labels = torch.arange(classes).expand(number, classes)
    return Found(boxes.expand(number, classes, 4).reshape(-1, 4), scores.reshape(-1), labels.reshape(-1))


def pooled(extractor: Any, maps: Sequence[Tensor], boxes: Tensor) -> Tensor:
    """Features (N, C, h, w) of regions, each from the map that upstream takes for its size."""
    maps = maps[: extractor.num_inputs]
    regions = torch.cat([boxes.new_zeros(boxes.shape[0], 1), boxes], 1)
    if len(maps) == 1:
        return aligned(extractor.roi_layers[0], maps[0], regions)
    levels = extractor.map_roi_levels(regions, len(maps))
    places = [(levels == i).nonzero()[:, 0] for i in range(len(maps))]
    parts = [aligned(layer, x, regions[rows]) for layer, x, rows in zip(extractor.roi_layers, maps, places)]
    out = maps[0].new_zeros(regions.shape[0], *parts[0].shape[1:])
    return out.index_put((torch.cat(places),), torch.cat(parts))


def aligned(layer: Any, x: Tensor, regions: Tensor) -> Tensor:
    """mmcv's layer through torchvision's operator."""
    return roi_align(x, regions, layer.output_size, layer.spatial_scale, layer.sampling_ratio, layer.aligned)


def masks(head: Any, maps: Sequence[Tensor], found: Found) -> Tensor:
    """Probabilities (N, h, w) within the boxes, those of each one's class."""
    stages = list(head.mask_head) if isinstance(head.mask_head, nn.ModuleList) else [head.mask_head]
    total: Any = 0
    for number, stage in enumerate(stages):
        x = stage(pooled(at(head.mask_roi_extractor, number), maps, found.boxes)).sigmoid()
        total = total + x
    mean = total / len(stages)
    if stages[-1].class_agnostic:
        return mean[:, 0]
    index = found.labels[:, None, None, None].expand(-1, 1, *mean.shape[2:])
    return mean.gather(1, index)[:, 0]


def pasted(masks: Tensor, boxes: Tensor, height: int, width: int) -> Tensor:
    """Masks (N, h, w) of boxes (N, 4), resampled onto an image: (N, height, width).

    Bilinear resampling is the same for all rows and for all columns: two products with matrices in place of a sampling
    point for each pixel.
    """
    rows = weights(boxes[:, 1], boxes[:, 3], height, masks.shape[1])
    columns = weights(boxes[:, 0], boxes[:, 2], width, masks.shape[2])
    return rows @ masks @ columns.transpose(1, 2)


def weights(low: Tensor, high: Tensor, size: int, cells: int) -> Tensor:
    """(N, size, cells): what each cell between two borders adds to each pixel; beyond the cells there are zeros."""
    pixels = torch.arange(size) + 0.5
    place = (pixels - low[:, None]) / (high - low)[:, None] * cells - 0.5
    return (1 - (place[:, :, None] - torch.arange(cells)).abs()).clamp(min=0)


def translate_roi_align(
    x: Any, regions: Any, scale: float, height: int, width: int, ratio: int = -1, aligned: bool = False
) -> Any:
    """torchvision's operator, for one image, in ONNX's words."""
    from onnxscript import opset18

    op: Any = opset18
    # A shape that is known: OpenVINO wants to see the four corners.
    boxes = op.Reshape(op.Slice(regions, [1], [5], [1]), [-1, 4])
    images = op.Reshape(op.Cast(op.Slice(regions, [0], [1], [1]), to=7), [-1])
    return op.RoiAlign(
        x,
        boxes,
        images,
        coordinate_transformation_mode='half_pixel' if aligned else 'output_half_pixel',
        mode='avg',
        output_height=height,
        output_width=width,
        sampling_ratio=max(ratio, 0),
        spatial_scale=scale,
    )

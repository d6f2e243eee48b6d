"""A detector as a whole: an image to boxes, scores, labels, masks and panoptic segments, in a picture's pixels."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmseq.errors import InputError
from mmseq.export.detection import dense, queries, regions
from mmseq.export.detection.deformable import numbers
from mmseq.export.detection.suppression import Found, overlap_of


class Detector(nn.Module):
    """Images (1, C, H, W) and the height and width of the picture (2,), in whose pixels the outputs are.

    Upstream resizes a picture before its model and scales what is found back to it; a picture that was not resized has
    the size of the image.

    Args:
        pixels: normalises and pads.
        model: a portable copy of a detector.
    """

    def __init__(self, pixels: nn.Module, model: Any) -> None:
        super().__init__()
        self.pixels, self.model = pixels, model

    def forward(self, images: Tensor, size: Tensor) -> tuple[Tensor, ...]:
        height, width = size.tolist()
        for side in (height, width):
            torch._check(side >= 1)
        x = self.pixels(images)
        maps = self.model.extract_feat(x)
        given, padded = (images.shape[2], images.shape[3]), (x.shape[2], x.shape[3])
        return FINDERS[kind_of(self.model)](self.model, maps, given, padded, (height, width))


Sizes = tuple[int, int]


def kind_of(model: Any) -> str:
    """A key of ``FINDERS``.

    Raises:
        InputError: the detector is of none of these kinds.
    """
    from mmdet.models.detectors import DINO, DeformableDETR, MaskFormer, SingleStageDetector, TwoStageDetector

    kinds = {(DINO, DeformableDETR): 'queries', (MaskFormer,): 'masks', (TwoStageDetector,): 'regions'}
    for classes, kind in kinds.items():
        if isinstance(model, classes):
            return kind
    if isinstance(model, SingleStageDetector):
        return 'dense'
    raise InputError(
        f'{type(model).__name__}: detectors of this kind are not exported as a whole; --part features exports what '
        'stands before the heads'
    )


def check(model: Any) -> None:
    """Raises InputError if a detector has a head that is not exported."""
    kind = kind_of(model)
    if kind == 'dense':
        dense.check_dense(model.bbox_head)
        overlap_of(model.bbox_head.test_cfg.nms)
    elif kind == 'regions':
        dense.check_dense(model.rpn_head)
        regions.check_regions(model.roi_head)
        overlap_of(model.roi_head.test_cfg.nms)


def outputs_of(model: Any) -> tuple[str, ...]:
    """The names of the outputs."""
    names = ('boxes', 'scores', 'labels')
    if kind_of(model) != 'masks':
        return (*names, 'masks') if model.with_mask else names
    cfg = model.panoptic_fusion_head.test_cfg
    of_instances = (*names, 'masks') if cfg.get('instance_on', False) else ()
    return (*of_instances, 'panoptic') if cfg.get('panoptic_on', True) else of_instances


def find_by_cells(model: Any, maps: Sequence[Tensor], shape: Sizes, padded: Sizes, size: Sizes) -> tuple[Tensor, ...]:
    """Of one-stage detectors."""
    return scaled(dense.detect(model.bbox_head, maps, shape), shape, size)


def find_by_regions(model: Any, maps: Sequence[Tensor], shape: Sizes, padded: Sizes, size: Sizes) -> tuple[Tensor, ...]:
    """Of two-stage detectors."""
    proposals = dense.detect(model.rpn_head, maps, shape).boxes
    found = regions.detect(model.roi_head, maps, proposals, shape)
    boxes, *others = scaled(found, shape, size)
    if not model.with_mask:
        return boxes, *others
    inside = regions.pasted(regions.masks(model.roi_head, maps, found), boxes, *size)
    return boxes, *others, inside >= model.roi_head.test_cfg.mask_thr_binary


def find_by_queries(model: Any, maps: Sequence[Tensor], shape: Sizes, padded: Sizes, size: Sizes) -> tuple[Tensor, ...]:
    """Of DINO and its like."""
    return scaled(queries.detect(model, maps, shape, padded), shape, size)


def find_by_masks(model: Any, maps: Sequence[Tensor], shape: Sizes, padded: Sizes, size: Sizes) -> tuple[Tensor, ...]:
    """Of Mask2Former, whose masks are in the picture's pixels already."""
    head = model.panoptic_fusion_head
    logits, masks = queries.masks_of_queries(model, maps, shape, padded, size)
    found: tuple[Tensor, ...] = ()
    if head.test_cfg.get('instance_on', False):
        found = queries.instances(logits, masks, head.num_things_classes, head.test_cfg.get('max_per_image', 100))
    if head.test_cfg.get('panoptic_on', True):
        found = (*found, queries.panoptic(logits, masks, head.num_things_classes, head.test_cfg))
    return found


def scaled(found: Found, shape: Sizes, size: Sizes) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes in an image of ``shape`` in the pixels of a picture of ``size``, with their scores and labels."""
    scale = numbers(*size[::-1], *size[::-1]) / numbers(*shape[::-1], *shape[::-1])
    return found.boxes * scale, found.scores, found.labels


FINDERS = dict(dense=find_by_cells, regions=find_by_regions, queries=find_by_queries, masks=find_by_masks)


class DetectorReference:
    """Upstream's own way from an image to what is found, through its data preprocessor and ``test_step``.

    Args:
        model: the detector.
        loaded: from images to what the model's data preprocessor takes.
    """

    def __init__(self, model: Any, loaded: Any) -> None:
        self.model, self.loaded = model, loaded

    @torch.no_grad()
    def __call__(self, images: Tensor, size: Tensor) -> dict[str, Tensor]:
        """What the exported detector has to answer, by name."""
        from mmdet.structures import DetDataSample

        shape, picture = tuple(images.shape[2:]), tuple(size.tolist())
        scale = tuple(a / b for a, b in zip(reversed(shape), reversed(picture)))
        sample = DetDataSample(metainfo=dict(img_shape=shape, ori_shape=picture, scale_factor=scale))
        (found,) = self.model.test_step(dict(inputs=list(self.loaded(images)), data_samples=[sample]))
        answer: dict[str, Tensor] = {}
        if 'pred_instances' in found:
            names = dict(boxes='bboxes', scores='scores', labels='labels', masks='masks')
            answer |= {name: found.pred_instances[key] for name, key in names.items() if key in found.pred_instances}
        if 'pred_panoptic_seg' in found:
            answer['panoptic'] = found.pred_panoptic_seg.sem_seg[0]
        return answer

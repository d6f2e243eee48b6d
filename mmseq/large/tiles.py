"""A model that predicts tile by tile, as a view of one that predicts whole images.

    model = tiled(model, Tiles(1024, overlap=0.2))

The view shares the weights and takes what the model takes. It works on what ``test_step`` gets, so that a tile is
padded and normalised by itself, and on every detector, an exported one included. Segmentors become a
:class:`mmseq.segmentors.sliding.SlidingEncoderDecoder`.

sahi (MIT) brings six packages more, shapely and another OpenCV among them, calls a model tile by tile, and keeps masks
as polygons and as full-size booleans. supervision's slicer (MIT) can keep masks as run lengths and take batches of
tiles, but wants detections of its own kind and pictures. Both put detections together by their share of the smaller
box, so that a person before a bus becomes the bus, or by plain suppression, which leaves a bus in two halves. Neither
knows where a tile has cut. mmdet's function of the name uses sahi and suppression.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from mmengine.structures import InstanceData
from torch import Tensor

from mmseq.errors import InputError
from mmseq.large.joining import join
from mmseq.large.limit import cut_off_of
from mmseq.pictures.prediction import Instances, read_instances
from mmseq.segmentors.stitch import starts

if TYPE_CHECKING:
    from mmengine.model import BaseModel

OVERLAP = 0.2
SMALLEST = 32
Model = TypeVar('Model')


@dataclass(frozen=True)
class Tiles:
    """How images are cut.

    Args:
        size: side of a tile in pixels.
        overlap: share of a tile that the next one shows again, from 0 to below 1.
        batch: tiles that go through the model at a time.

    Raises:
        InputError: tiles too small, or that do not move on.
    """

    size: int
    overlap: float = OVERLAP
    batch: int = 1

    def __post_init__(self) -> None:
        if self.size < SMALLEST or not 0 <= self.overlap <= 0.9:
            raise InputError(
                f'--tiles {self.size} --overlap {self.overlap}: expected tiles from {SMALLEST} px, and an overlap '
                'from 0 to 0.9'
            )

    @property
    def stride(self) -> int:
        """Pixels from one tile to the next."""
        return max(1, round(self.size * (1 - self.overlap)))

    def places(self, height: int, width: int) -> np.ndarray:
        """(tiles, 4), left, top, right, bottom in an image of this size; the last ones end with it."""
        sides = min(self.size, width), min(self.size, height)
        corners = [
            (x, y) for y in starts(height, self.size, self.stride) for x in starts(width, self.size, self.stride)
        ]
        return np.array([(x, y, x + sides[0], y + sides[1]) for x, y in corners])


class TiledDetector:
    """Mixed into the class of a detector: see :func:`tiled`."""

    tiles: Tiles

    def test_step(self, data: Mapping[str, Any]) -> list[Any]:
        """Upstream's samples with the instances of whole images; masks are :class:`mmseq.pictures.masks.Masks`."""
        return [self._image(image, sample) for image, sample in zip(data['inputs'], data['data_samples'])]

    def _image(self, image: Tensor, sample: Any) -> Any:
        """One image (C, H, W)."""
        places = self.tiles.places(*image.shape[1:])
        targets = in_original(places, image.shape[1:], sample.ori_shape[:2])
        found = list(self._tiles(image, sample, places, targets))
        whole = join([one for one, _ in found], targets, tuple(sample.ori_shape[:2]))
        cut_offs = [cut_off for _, cut_off in found if cut_off is not None]
        sample.set_metainfo(dict(cut_off=max(cut_offs, default=None)))
        sample.pred_instances = InstanceData(
            bboxes=torch.from_numpy(whole.boxes),
            scores=torch.from_numpy(whole.scores),
            labels=torch.from_numpy(whole.labels),
            **({} if whole.masks is None else dict(masks=whole.masks)),
        )
        return sample

    def _tiles(
        self, image: Tensor, sample: Any, places: np.ndarray, targets: np.ndarray
    ) -> Iterator[tuple[Instances, float | None]]:
        """What each tile shows, in pixels of the original image, and the score below which the model left some out."""
        for first in range(0, len(places), self.tiles.batch):
            part = slice(first, first + self.tiles.batch)
            inputs = [image[:, top:bottom, left:right] for left, top, right, bottom in places[part].tolist()]
            samples = [tile_sample(sample, *pair) for pair in zip(places[part], targets[part])]
            predicted = super().test_step(dict(inputs=inputs, data_samples=samples))  # type: ignore[misc]
            for one, target in zip(predicted, targets[part]):
                if 'pred_instances' not in one or 'pred_panoptic_seg' in one:
                    raise InputError('tiles: instances are joined, and label maps of EncoderDecoder; this is neither')
                cut_off = cut_off_of(one.pred_instances.scores, self.cfg)  # type: ignore[attr-defined]
                yield read_tile(one.pred_instances, target, sample.ori_shape[:2]), cut_off


def in_original(places: np.ndarray, shown: Sequence[int], size: Sequence[int]) -> np.ndarray:
    """Places in an image of the shown height and width as places in the original one."""
    factors = np.array([size[1] / shown[1], size[0] / shown[0]])
    found: np.ndarray = np.rint(places * np.tile(factors, 2)).astype(int)
    return found


def tile_sample(sample: Any, place: np.ndarray, target: np.ndarray) -> Any:
    """The sample of a tile alone, with nothing of the image's annotations."""
    width, height = (place[2:] - place[:2]).tolist()
    wide, high = (target[2:] - target[:2]).tolist()
    shapes = dict(img_shape=(height, width), ori_shape=(high, wide), scale_factor=(width / wide, height / high))
    return type(sample)(metainfo=dict(sample.metainfo, **shapes))


def read_tile(found: Any, target: np.ndarray, size: Sequence[int]) -> Instances:
    """Upstream's instances of a tile, in the original image of this height and width."""
    left, top = target[:2].tolist()
    own = read_instances(found)
    corner = np.array([left, top, left, top], np.float32)
    masks = None if own.masks is None else own.masks.moved(left, top, (size[0], size[1]))
    return replace(own, boxes=own.boxes + corner, masks=masks)


def tiled(model: 'BaseModel', tiles: Tiles) -> Any:
    """A view of a model, with its weights, that predicts tile by tile.

    Raises:
        InputError: a segmentor of another kind than upstream's EncoderDecoder.
    """
    if hasattr(model, 'decode_head'):
        return sliding(model, tiles)
    return view(model, TiledDetector, tiles=tiles)


def sliding(model: 'BaseModel', tiles: Tiles) -> Any:
    """A view of a segmentor that predicts window by window."""
    # Of mmseg, which takes seconds.
    from mmseg.models.segmentors import EncoderDecoder

    from mmseq.segmentors.sliding import SlidingEncoderDecoder

    if type(model) not in (EncoderDecoder, SlidingEncoderDecoder):
        raise InputError(f'--tiles: of segmentors EncoderDecoder can; this model is a {type(model).__name__}')
    side = (tiles.size, tiles.size)
    found = copy.copy(model)
    found.__class__ = SlidingEncoderDecoder
    found.test_cfg = type(model.test_cfg)(mode='slide', crop_size=side, stride=(tiles.stride, tiles.stride))
    return found


def without_resizing(steps: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The transforms of a pipeline, so that images keep all their pixels."""
    # Resizing by 1, since heads read from the sample how their image was resized.
    return [dict(type='Resize', scale_factor=1.0) if 'Resize' in name_of(step) else dict(step) for step in steps]


def name_of(step: Mapping[str, Any]) -> str:
    """The name of a transform, which a config gives as text or as the class."""
    kind = step['type']
    return kind if isinstance(kind, str) else kind.__name__


def view(model: Model, mixed_in: type, **attributes: Any) -> Model:
    """The object again, its class below another one; what it holds is the same, what is set anew is the view's."""
    found = copy.copy(model)
    found.__class__ = type(mixed_in.__name__, (mixed_in, type(model)), {})
    for name, value in attributes.items():
        setattr(found, name, value)
    return found

"""The same image seen otherwise: mirrored, turned, moved by a pixel; and predictions brought back from there."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import Evaluator
from torch import Tensor

from mmseq.registry import EVALUATORS, TRANSFORMS


@dataclass(frozen=True)
class View:
    """What is done to an image: first it is mirrored, then turned, then moved.

    Args:
        mirror: left becomes right.
        turns: quarter turns, against the clock.
        right: pixels by which it is moved to the right; the outermost column goes on where nothing comes in.
        down: pixels by which it is moved down.
    """

    mirror: bool = False
    turns: int = 0
    right: int = 0
    down: int = 0

    def shape(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of an image that had these."""
        return (width, height) if self.turns % 2 else (height, width)

    def apply(self, image: np.ndarray) -> np.ndarray:
        """The view of a (H, W) or (H, W, C) image."""
        image = np.rot90(image[:, ::-1] if self.mirror else image, self.turns)
        rows, columns = (self._moved(size, by) for size, by in zip(image.shape[:2], (self.down, self.right)))
        return np.ascontiguousarray(image[rows][:, columns])

    def undo(self, maps: Tensor) -> Tensor:
        """What was found in the view, (..., H, W), at the places of the image; pixels that left the view repeat."""
        rows, columns = (self._moved(size, -by) for size, by in zip(maps.shape[-2:], (self.down, self.right)))
        maps = maps[..., torch.from_numpy(rows).to(maps.device), :][..., torch.from_numpy(columns).to(maps.device)]
        maps = torch.rot90(maps, -self.turns, (-2, -1))
        return maps.flip(-1) if self.mirror else maps

    def undo_boxes(self, boxes: Tensor, height: int, width: int) -> Tensor:
        """Boxes (N, 4), left, top, right, bottom, of the view of an image of this size, at their places in it."""
        moved = boxes - boxes.new_tensor([self.right, self.down] * 2)
        left, top, right, bottom = moved.unbind(-1)
        for turn in range(self.turns % 4, 0, -1):
            # the width before this turn
            size = width if turn % 2 else height
            left, top, right, bottom = size - bottom, left, size - top, right
        if self.mirror:
            left, right = width - right, width - left
        return torch.stack([left, top, right, bottom], -1)

    def seen(self, height: int, width: int) -> np.ndarray:
        """(height, width) pixels of an image that are in its view."""
        view = self.shape(height, width)
        inside = torch.ones(1, *view, dtype=torch.bool)
        rows, columns = (np.arange(size) + by for size, by in zip(view, (self.down, self.right)))
        out = ((rows < 0) | (rows >= view[0]))[:, None] | ((columns < 0) | (columns >= view[1]))
        back = View(self.mirror, self.turns)
        return back.undo(inside & ~torch.from_numpy(out))[0].numpy()

    @staticmethod
    def _moved(size: int, by: int) -> np.ndarray:
        return np.clip(np.arange(size) - by, 0, size - 1)


VIEWS = {
    'flip_horizontal': View(mirror=True),
    'flip_vertical': View(mirror=True, turns=2),
    'turn_90': View(turns=1),
    'turn_180': View(turns=2),
    'turn_270': View(turns=3),
    'shift_right': View(right=1),
    'shift_left': View(right=-1),
    'shift_down': View(down=1),
    'shift_up': View(down=-1),
}
"""By name; turns are against the clock, shifts by one pixel of the file."""


@TRANSFORMS.register_module()
class TakeView:
    """Show the view of an image in its place; stands behind the step that loads the image, annotations stay.

    Args:
        view: one of ``VIEWS``.
    """

    def __init__(self, view: str) -> None:
        self.view = view

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        results['img'] = VIEWS[self.view].apply(results['img'])
        results['img_shape'] = results['img'].shape[:2]
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(view={self.view!r})'


@TRANSFORMS.register_module()
class TellViewShape(TakeView):
    """Give the view's size for the original one, to which models bring their predictions; stands before packing."""

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        results['ori_shape'] = VIEWS[self.view].shape(*results['ori_shape'])
        return results


@EVALUATORS.register_module()
class ViewEvaluator(Evaluator):
    """mmengine's evaluator of predictions that were made in a view: metrics get them at the places of the image.

    Args:
        view: one of ``VIEWS``.
        metrics: as of mmengine's evaluator.
    """

    def __init__(self, view: str, metrics: Any) -> None:
        super().__init__(metrics)
        self.view = VIEWS[view]

    def process(self, data_samples: Any, data_batch: Any = None) -> None:
        """Bring a batch back and hand it on."""
        super().process([self._back(sample.to_dict()) for sample in data_samples], data_batch)

    def _back(self, sample: dict[str, Any]) -> dict[str, Any]:
        # A turn of the view's size is one of the image's.
        height, width = self.view.shape(*sample['ori_shape'])
        sample['ori_shape'] = (height, width)
        for name in ('pred_sem_seg', 'seg_logits'):
            if name in sample:
                sample[name] = dict(sample[name], data=self.view.undo(sample[name]['data']))
        if (found := sample.get('pred_instances')) is not None:
            found = dict(found, bboxes=self.view.undo_boxes(found['bboxes'], height, width))
            if 'masks' in found:
                found['masks'] = self.view.undo(found['masks'])
            sample['pred_instances'] = found
        return sample

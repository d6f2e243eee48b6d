"""Mask heads whose masks are run lengths from the start.

Upstream pastes the 28 x 28 px of each mask into the image and keeps all of them as (N, H, W) booleans: 2.4 GB for 100
instances on 6000 x 4000 px.
"""

import copy
from typing import Any

import numpy as np
from torch import Tensor

from mmseq.large.tiles import view
from mmseq.pictures.masks import Masks, edges_of


class LeanMaskHead:
    """Mixed into the class of a mask head that pastes as upstream's ``FCNMaskHead``: see :func:`lean`."""

    def _predict_by_feat_single(
        self,
        mask_preds: Tensor,
        bboxes: Tensor,
        labels: Tensor,
        img_meta: dict[str, Any],
        rcnn_test_cfg: Any,
        rescale: bool = False,
        activate_map: bool = False,
    ) -> Masks:
        """Upstream's masks, each pasted into the pixels around its own box."""
        height, width = (int(side) for side in img_meta['ori_shape'][:2])
        scale = bboxes.new_tensor(img_meta['scale_factor']).repeat(1, 2)
        if rescale:
            # Upstream's callers go on with the boxes that it has changed.
            bboxes /= scale
        else:
            height, width = round(height * float(scale[0, 1])), round(width * float(scale[0, 0]))
        edges = []
        corners = bboxes.float().cpu().numpy()
        lows = np.clip(np.floor(corners[:, :2]) - 1, 0, (width - 1, height - 1)).astype(int)
        highs = np.clip(np.ceil(corners[:, 2:]) + 1, lows + 1, (width, height)).astype(int)
        for place, ((left, top), (right, bottom)) in enumerate(zip(lows.tolist(), highs.tolist())):
            one = slice(place, place + 1)
            meta = dict(img_meta, ori_shape=(bottom - top, right - left), scale_factor=(1.0, 1.0))
            moved = bboxes[one] - bboxes.new_tensor([left, top, left, top])
            pasted = super()._predict_by_feat_single(  # type: ignore[misc]
                mask_preds[one], moved, labels[one], meta, rcnn_test_cfg, False, activate_map
            )
            edges.append(edges_of(pasted[0].cpu().numpy().astype(bool), left, top, height))
        return Masks(edges, (height, width))


def lean(model: Any) -> Any:
    """A view of a model, with its weights, whose masks are run lengths; models without such a mask head as they are."""
    roi_head = getattr(model, 'roi_head', None)
    if roi_head is None or getattr(roi_head, 'mask_head', None) is None:
        return model
    # Of mmdet, which takes seconds.
    from mmdet.models.roi_heads.mask_heads import FCNMaskHead
    from torch import nn

    own = roi_head.mask_head
    heads = list(own) if isinstance(own, nn.ModuleList) else [own]
    pastes = FCNMaskHead._predict_by_feat_single
    if any(getattr(type(head), '_predict_by_feat_single', None) is not pastes for head in heads):
        return model
    views = [view(head, LeanMaskHead) for head in heads]
    mask_head = nn.ModuleList(views) if isinstance(own, nn.ModuleList) else views[0]
    return with_module(model, 'roi_head', with_module(roi_head, 'mask_head', mask_head))


def with_module(module: Any, name: str, other: Any) -> Any:
    """A module with another one in the place of its own; the given one stays as it is."""
    found = copy.copy(module)
    found._modules = dict(module._modules, **{name: other})
    return found

"""Region features at their exact place under mixed precision.

mmdet casts the regions' coordinates to the features' type before it pools. bfloat16 has 8 bits of mantissa, so that a
corner at 1,000 px moves by up to 4 px, half of them by more than a pixel of the finest map. Here the features are
brought to float32 instead. Can go once ``SingleRoIExtractor.forward`` of mmdet keeps coordinates in float32.
"""

import functools
from types import ModuleType
from typing import TYPE_CHECKING

from mmseq.compat.import_hooks import when_imported

if TYPE_CHECKING:
    from torch import Tensor

MODULE = 'mmdet.models.roi_heads.roi_extractors.single_level_roi_extractor'


def install() -> None:
    """Patch mmdet's extractor when it is imported; nothing is imported here."""
    when_imported(MODULE, _patch)


def _patch(module: ModuleType) -> None:
    original = module.SingleRoIExtractor.forward

    @functools.wraps(original)
    def forward(
        self: object, feats: tuple['Tensor', ...], rois: 'Tensor', roi_scale_factor: float | None = None
    ) -> 'Tensor':
        if feats[0].element_size() > 2:
            return original(self, feats, rois, roi_scale_factor)
        pooled = original(self, tuple(level.float() for level in feats), rois.float(), roi_scale_factor)
        return pooled.to(feats[0].dtype)

    module.SingleRoIExtractor.forward = forward

"""Regions keep their place under mixed precision."""

import pytest
import torch

import mmseq  # noqa: F401


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_low_precision_features_are_pooled_where_float32_ones_are(dtype):
    from mmdet.models.roi_heads import SingleRoIExtractor

    extractor = SingleRoIExtractor(dict(type='RoIAlign', output_size=7, sampling_ratio=0), 1, [4])
    # A feature that is its own column: a shifted region shows at once.
    feature = torch.arange(300.0).expand(1, 1, 200, 300)
    rois = torch.tensor([[0, 1003.0, 401.0, 1041.0, 443.0]])
    exact = extractor((feature,), rois)
    low = extractor((feature.to(dtype),), rois)
    assert low.dtype == dtype
    # Columns around 255 are whole numbers in both types: what is left is the rounding of the result itself.
    torch.testing.assert_close(low.float(), exact, rtol=torch.finfo(dtype).eps, atol=0)

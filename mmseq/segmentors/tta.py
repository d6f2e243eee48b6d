"""Test-time augmentation of segmentors with a single output."""

from typing import TYPE_CHECKING

from mmengine.structures import PixelData
from mmseg.models.segmentors import SegTTAModel
from mmseg.utils import SampleList
from torch import Tensor, nn

if TYPE_CHECKING:
    from mmseg.models.decode_heads.decode_head import BaseDecodeHead
    from mmseg.models.segmentors import BaseSegmentor


class AveragingSegTTAModel(SegTTAModel):
    """mmseg's ``SegTTAModel`` that averages what a binary head (``out_channels=1``) says as it is.

    Such a segmentor's ``seg_logits`` are probabilities; upstream puts them through the sigmoid again, after which all
    are above 0.5 and every pixel becomes 1.
    """

    def merge_preds(self, data_samples_list: list[SampleList]) -> SampleList:
        """One sample for each image, from those of its views."""
        if self.module.out_channels > 1:
            return super().merge_preds(data_samples_list)
        for views in data_samples_list:
            mean: Tensor = sum(view.seg_logits.data for view in views) / len(views)
            label = (mean > last_head(self.module).threshold).to(mean)
            views[0].set_data(dict(pred_sem_seg=PixelData(data=label), seg_logits=PixelData(data=mean)))
        return [views[0] for views in data_samples_list]


def last_head(segmentor: 'BaseSegmentor') -> 'BaseDecodeHead':
    """The decode head whose logits are the prediction: of a cascade the last."""
    head = segmentor.decode_head
    return head[-1] if isinstance(head, nn.ModuleList) else head

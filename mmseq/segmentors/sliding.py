"""Sliding-window segmentation in memory that hardly grows with the picture."""

from typing import Any

from mmengine.structures import PixelData
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.segmentors import EncoderDecoder
from mmseg.structures import SegDataSample
from torch import Tensor

from mmseq.segmentors.stitch import Frame, stitch_labels


class SlidingEncoderDecoder(EncoderDecoder):
    """Upstream's EncoderDecoder whose ``test_cfg.mode='slide'`` gives the same labels without the picture's logits.

    Upstream adds up logits of the whole picture: classes x H x W floats, several times. Here each window keeps what
    the head said at the head's own resolution, only as long as a later window overlaps it, and the enlarged, averaged
    logits exist for a few rows at a time, of which the labels alone are kept. Heads that make their logits in a
    ``predict`` of their own (Mask2Former, PointRend) are kept at the resolution of the picture.

    Predictions hold ``pred_sem_seg`` (bytes up to 256 classes) and no ``seg_logits``; the test-time augmentation, which
    averages those, takes upstream's class. Training and ``mode='whole'`` are upstream's.
    """

    def predict(self, inputs: Tensor, data_samples: list[SegDataSample] | None = None) -> list[SegDataSample]:
        """Segment (B, C, H, W) images, one after another, window by window."""
        if self.test_cfg.get('mode', 'whole') != 'slide':
            return super().predict(inputs, data_samples)
        if data_samples is None:
            data_samples = [SegDataSample() for _ in inputs]
        for i, sample in enumerate(data_samples):
            labels = self.slide_labels(inputs[i : i + 1], sample.metainfo)
            sample.set_data(dict(pred_sem_seg=PixelData(data=labels[None])))
        return data_samples

    def slide_labels(self, image: Tensor, meta: dict[str, Any]) -> Tensor:
        """Labels (H, W) at the original size of one image (1, C, H, W)."""
        height, width = image.shape[2:]
        left, right, top, bottom = meta.get('img_padding_size', meta.get('padding_size', (0, 0, 0, 0)))
        frame = Frame(height, width, (top, height - bottom), (left, width - right), tuple(meta.get('ori_shape', ())))
        labels = stitch_labels(
            lambda y, x, h, w: self.window_logits(image[:, :, y : y + h, x : x + w], meta)[0],
            frame,
            self.test_cfg.crop_size,
            self.test_cfg.stride,
            self.align_corners,
            threshold=self.decode_head.threshold if self.out_channels == 1 else None,
        )
        # Enlarging commutes with turning, so the labels can be turned in place of the logits.
        axis = {'horizontal': 1, 'vertical': 0}.get(meta.get('flip_direction', '')) if meta.get('flip') else None
        return labels if axis is None else labels.flip(axis)

    def window_logits(self, crop: Tensor, meta: dict[str, Any]) -> Tensor:
        """(1, classes, h, w) of one window, at the head's own resolution where the head only enlarges it."""
        head = type(self.decode_head)
        if head.predict is BaseDecodeHead.predict and head.predict_by_feat is BaseDecodeHead.predict_by_feat:
            return self.decode_head(self.extract_feat(crop))
        return self.encode_decode(crop, [dict(meta, img_shape=crop.shape[2:])])

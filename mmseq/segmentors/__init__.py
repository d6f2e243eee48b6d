"""Segmentors over upstream's; each is registered by a function, so that mmseg is loaded when one is built."""

from typing import Any

from torch import nn

from mmseq.registry import MODELS


@MODELS.register_module(name='SlidingEncoderDecoder')
def sliding_encoder_decoder(
    backbone: dict[str, Any],
    decode_head: dict[str, Any],
    neck: dict[str, Any] | None = None,
    auxiliary_head: dict[str, Any] | list[dict[str, Any]] | None = None,
    train_cfg: dict[str, Any] | None = None,
    test_cfg: dict[str, Any] | None = None,
    data_preprocessor: dict[str, Any] | None = None,
    pretrained: str | None = None,
    init_cfg: dict[str, Any] | None = None,
) -> nn.Module:
    """A :class:`mmseq.segmentors.sliding.SlidingEncoderDecoder`; the arguments are upstream's EncoderDecoder's."""
    from mmseq.segmentors.sliding import SlidingEncoderDecoder

    return SlidingEncoderDecoder(
        backbone, decode_head, neck, auxiliary_head, train_cfg, test_cfg, data_preprocessor, pretrained, init_cfg
    )


@MODELS.register_module(name='SegTTAModel')
def seg_tta_model(upstream: bool = False, **arguments: Any) -> nn.Module:
    """A :class:`mmseq.segmentors.tta.AveragingSegTTAModel`, or mmseg's own; the other arguments are mmseg's."""
    from mmseg.models.segmentors import SegTTAModel

    from mmseq.segmentors.tta import AveragingSegTTAModel

    return (SegTTAModel if upstream else AveragingSegTTAModel)(**arguments)

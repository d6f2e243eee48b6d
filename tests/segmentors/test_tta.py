"""Test-time augmentation agrees with the plain prediction, with one output as with several."""

from typing import Any

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import DefaultScope
from torch import nn

from mmseq.registry import MODELS

SLIDE = dict(mode='slide', crop_size=(32, 32), stride=(20, 20))


@MODELS.register_module()
class Pixels(nn.Module):
    """A backbone whose map is the image."""

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor]:
        return (images,)


def build(outputs: int, test_cfg: dict, **arguments: Any) -> nn.Module:
    """An untrained segmentor of one convolution within the test-time augmentation."""
    head = dict(type='FCNHead', in_channels=3, channels=3, num_convs=0, concat_input=False, in_index=0, threshold=0.5)
    segmentor = dict(
        type='EncoderDecoder',
        data_preprocessor=dict(type='SegDataPreProcessor', mean=[128.0] * 3, std=[60.0] * 3),
        backbone=dict(type='mmseq.Pixels'),
        decode_head=dict(**head, num_classes=max(outputs, 2), out_channels=outputs),
        test_cfg=ConfigDict(test_cfg),
    )
    with DefaultScope.overwrite_default_scope('mmseg'):
        return MODELS.build(dict(type='mmseq.SegTTAModel', module=segmentor, **arguments)).eval()


def views(pictures: list[torch.Tensor], flips: tuple[bool, ...]) -> dict[str, list]:
    """What the loader gives: for each view a batch of inputs and samples."""
    from mmseg.structures import SegDataSample

    def sample(picture: torch.Tensor, flip: bool) -> SegDataSample:
        size = tuple(picture.shape[1:])
        meta = dict(img_path='a.png', img_shape=size, ori_shape=size, flip=flip)
        return SegDataSample(metainfo=meta | dict(flip_direction='horizontal' if flip else None))

    inputs = [[picture.flip(2) if flip else picture for picture in pictures] for flip in flips]
    return dict(inputs=inputs, data_samples=[[sample(picture, flip) for picture in pictures] for flip in flips])


def predicted(model: nn.Module, pictures: list[torch.Tensor], flips: tuple[bool, ...]) -> list[torch.Tensor]:
    with torch.no_grad():
        return [found.pred_sem_seg.data.reshape(40, 50) for found in model.test_step(views(pictures, flips))]


@pytest.mark.parametrize('test_cfg', [dict(mode='whole'), SLIDE], ids=('whole', 'slide'))
@pytest.mark.parametrize('outputs', [1, 2])
def test_views_agree_with_the_plain_prediction(outputs: int, test_cfg: dict) -> None:
    model = build(outputs, test_cfg)
    pictures = [torch.randint(0, 256, (3, 40, 50), dtype=torch.uint8) for _ in range(2)]
    data = views(pictures, (False,))
    with torch.no_grad():
        plain = model.module.test_step({key: value[0] for key, value in data.items()})
    labels = [found.pred_sem_seg.data.reshape(40, 50) for found in plain]
    assert [len(one.unique()) for one in labels] == [2, 2]
    # a convolution of one pixel sees the same in a mirror
    for flips in ((False,), (False, False), (False, True)):
        assert all(map(torch.equal, predicted(model, pictures, flips), labels))


def test_upstreams_by_a_switch() -> None:
    pictures = [torch.randint(0, 256, (3, 40, 50), dtype=torch.uint8)]
    (labels,) = predicted(build(1, dict(mode='whole'), upstream=True), pictures, (False,))
    assert labels.min() == 1

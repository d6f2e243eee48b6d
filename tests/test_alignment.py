"""Logits of UperNet over the native strides line up with labels and pictures to the pixel."""

from pathlib import Path

import pytest
import torch
from mmengine.registry import DefaultScope
from torch import nn

from mmseq.config import load_config
from mmseq.registry import MODELS

CONFIG = str(Path(__file__).parents[1] / 'configs' / 'upernet_seq2d_s_ade20k.py')
ARCH = dict(depths=(1, 1, 1, 1), dims=(8, 8, 8, 8), hidden=(2, 2, 2, 2))


class Coordinates(nn.Module):
    """Stands for the last layer of the head: logits that are each cell's image coordinates at stride 7."""

    def forward(self, x):
        rows = (torch.arange(x.shape[2], dtype=x.dtype) + 0.5) * 7
        columns = (torch.arange(x.shape[3], dtype=x.dtype) + 0.5) * 7
        return torch.stack(torch.meshgrid(rows, columns, indexing='ij')).expand(len(x), -1, -1, -1)


@pytest.fixture(scope='module')
def segmentor():
    cfg = load_config(CONFIG, {}).model
    cfg.backbone.update(arch=ARCH, init_cfg=None, drop_path_rate=0.0)
    cfg.decode_head.update(in_channels=[8] * 4, channels=8, num_classes=2)
    cfg.auxiliary_head.update(in_channels=8, channels=8, num_classes=2)
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(cfg)
    model.decode_head.conv_seg = Coordinates()
    model.decode_head.dropout = None
    return model.eval()


def sample(height, width):
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    data = SegDataSample(metainfo=dict(ori_shape=(height, width), img_shape=(height, width)))
    data.gt_sem_seg = PixelData(data=torch.zeros(1, height, width, dtype=torch.uint8))
    return data


@pytest.mark.parametrize('size', [(512, 500), (97, 131), (224, 224)])
def test_predicted_logits(segmentor, size):
    data = segmentor.data_preprocessor(dict(inputs=[torch.zeros(3, *size)], data_samples=[sample(*size)]), False)
    assert all(side % 14 == 0 for side in data['inputs'].shape[2:])
    with torch.no_grad():
        logits = segmentor.predict(**data)[0].seg_logits.data
    assert logits.shape == (2, *size)
    rows = torch.arange(size[0]) + 0.5
    columns = torch.arange(size[1]) + 0.5
    # Half a cell from the border on, where upstream's interpolation holds its last value.
    torch.testing.assert_close(logits[0, 4:-11], rows[4:-11, None].expand(-1, size[1]), rtol=0, atol=0.01)
    torch.testing.assert_close(logits[1, :, 4:-11], columns[None, 4:-11].expand(size[0], -1), rtol=0, atol=0.01)


def test_training_labels_are_padded_like_the_images(segmentor):
    batch = dict(inputs=[torch.zeros(3, 61, 47), torch.zeros(3, 50, 70)], data_samples=[sample(61, 47), sample(50, 70)])
    data = segmentor.data_preprocessor(batch, True)
    # The recipe's crop of 512, padded to a multiple of 14.
    assert data['inputs'].shape == (2, 3, 518, 518)
    labels = torch.stack([item.gt_sem_seg.data for item in data['data_samples']])
    assert labels.shape == (2, 1, 518, 518)
    assert (labels[0, 0, :61, :47] == 0).all()
    assert (labels[0, 0, 61:] == 255).all()
    # Through the training path, too, logits and labels cover the same padded square.
    with torch.no_grad():
        levels = segmentor.extract_feat(data['inputs'])
    assert [tuple(level.shape[2:]) for level in levels] == [(74, 74), (37, 37), (37, 37), (37, 37)]

"""The sliding segmentor: upstream's labels, and memory that does not follow the picture."""

from pathlib import Path

import pytest
import torch
from mmengine.registry import DefaultScope
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mmseq.config import load_config
from mmseq.engine.settings import Settings, use_tta
from mmseq.registry import MODELS

SEG = str(Path(__file__).parents[2] / 'configs' / 'upernet_seq2d_nano_shapes.py')
SLIDE = {'model.test_cfg': dict(mode='slide', crop_size=(64, 64), stride=(42, 42))}


def build(segmentor, options=SLIDE, head=None):
    torch.manual_seed(0)
    cfg = load_config(SEG, options)
    cfg.model.type = segmentor
    if head:
        cfg.model.decode_head = head
        cfg.model.auxiliary_head = None
    with DefaultScope.overwrite_default_scope('mmseg'):
        return MODELS.build(cfg.model).eval()


def sample(**meta):
    from mmseg.structures import SegDataSample

    return SegDataSample(metainfo=meta)


def predict(model, picture, **meta):
    """Labels (H, W) of a picture (3, H, W)."""
    data = dict(inputs=[picture], data_samples=[sample(img_shape=picture.shape[1:], **meta)])
    with torch.no_grad():
        inputs = model.data_preprocessor(data)
        # Double precision, so that rounding decides no arg-max.
        return model.double().predict(inputs['inputs'].double(), inputs['data_samples'])[0].pred_sem_seg.data[0]


@pytest.mark.parametrize(
    'size, ori, flip',
    [((64, 64), (64, 64), {}), ((100, 150), (100, 150), {}), ((90, 139), (77, 211), {})]
    + [((96, 128), (90, 120), dict(flip=True, flip_direction=way)) for way in ('horizontal', 'vertical')],
)
def test_labels_are_upstreams(size, ori, flip):
    picture = torch.randint(0, 256, (3, *size), dtype=torch.uint8)
    found, expected = (
        predict(build(name), picture, ori_shape=ori, **flip)
        for name in ('mmseq.SlidingEncoderDecoder', 'EncoderDecoder')
    )
    assert found.shape == ori
    assert len(expected.unique()) > 1
    assert torch.equal(found.long(), expected)


def test_a_head_with_its_own_prediction_is_asked_for_it():
    head = dict(
        type='EncHead',
        in_channels=[64, 96, 128],
        in_index=[1, 2, 3],
        channels=32,
        num_codes=4,
        num_classes=9,
        use_se_loss=False,
        norm_cfg=dict(type='BN'),
    )
    picture = torch.randint(0, 256, (3, 80, 100), dtype=torch.uint8)
    found, expected = (
        predict(build(name, head=head), picture, ori_shape=(80, 100))
        for name in ('mmseq.SlidingEncoderDecoder', 'EncoderDecoder')
    )
    assert torch.equal(found.long(), expected)


def test_whole_mode_is_upstreams():
    model = build('mmseq.SlidingEncoderDecoder', {})
    with torch.no_grad():
        result = model.predict(torch.randn(1, 3, 64, 64), [sample(ori_shape=(64, 64), img_shape=(64, 64))])
    assert 'seg_logits' in result[0]


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of all tensors made within it that are still alive, and the most there ever were."""

    def __init__(self):
        super().__init__()
        self.sizes, self.most = {}, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        import weakref

        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor):
                storage = leaf.untyped_storage()
                key = storage._cdata
                if key not in self.sizes:
                    self.sizes[key] = storage.nbytes()
                    weakref.finalize(storage, self.sizes.pop, key, None)
        self.most = max(self.most, sum(self.sizes.values()))
        return out


def live_bytes(segmentor, side):
    """Of prediction, beside the picture itself."""
    model = build(segmentor)
    picture = torch.randn(1, 3, side, side)
    with torch.no_grad(), LiveBytes() as live:
        model.predict(picture, [sample(ori_shape=(side, side), img_shape=(side, side))])
    return live.most - picture.nbytes


def test_memory_hardly_grows_with_the_picture(monkeypatch):
    """Sixteen times the pixels; what grows is a row of overlaps and the labels."""
    # As small beside a window of this model as the real ones are beside a window of a real model.
    monkeypatch.setattr('mmseq.segmentors.stitch.TILE', 4000)
    small, large = (live_bytes('mmseq.SlidingEncoderDecoder', side) for side in (64, 256))
    assert large < 1.1 * small
    assert live_bytes('EncoderDecoder', 256) > 2 * large


def test_augmentation_takes_upstreams_segmentor():
    cfg = load_config(SEG, SLIDE | {'model.type': 'mmseq.SlidingEncoderDecoder'})
    use_tta(cfg, Settings('evaluation', SEG, tta=True))
    assert cfg.model.module.type == 'EncoderDecoder'

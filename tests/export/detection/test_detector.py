"""Detectors as they are recorded say what upstream's own code says, of images with and without anything on them."""

import numpy as np
import pytest
import torch

from mmseq.errors import InputError
from mmseq.export import part_of, publish
from mmseq.export.detection.detector import kind_of
from tests.configs.leaves import CONFIGS
from tests.export.models import small_model

CASES = (
    'retinanet_seq2d_s_coco',
    'atss_seq2d_s_coco',
    'gfl_seq2d_s_coco',
    'faster_rcnn_seq2d_s_coco',
    'mask_rcnn_seq2d_s_coco',
    'cascade_mask_rcnn_seq2d_s_coco_3x',
    'dino_seq2d_s_coco',
    'mask2former_seq2d_s_coco',
    'mask2former_seq2d_s_coco_panoptic',
)


def detector(name, folder):
    return small_model(CONFIGS / f'{name}.py', 'seq2d_s', 'seq2d_nano', folder)


@pytest.mark.parametrize('name', CASES)
def test_what_is_recorded_is_upstreams(name, tmp_path):
    cfg, model = detector(name, tmp_path)
    part = part_of(model, cfg)
    found = 0
    # One whose sides are no multiple of the padding, and one that is not padded.
    for number, size in enumerate([(75, 107), (96, 64)]):
        check = publish.compare(part, part.module, *publish.sample(part, number, size))
        assert check.problem is None, check
        assert check.worst < 0.1
        found += check.detections
    assert found > 3
    if 'panoptic' in part.outputs:
        segments = part.module(*part.given(*publish.sample(part, 0, (75, 107))))[-1]
        assert len(segments.unique()) > 2


@pytest.fixture(scope='module')
def mask_rcnn(tmp_path_factory):
    return detector('mask_rcnn_seq2d_s_coco', tmp_path_factory.mktemp('configs'))


def test_pictures_as_decoders_give_them(mask_rcnn):
    cfg, model = mask_rcnn
    part = part_of(model, cfg, picture=True)
    assert part.inputs == ('picture', 'size')
    images, size = publish.sample(part, 0, (101, 150))
    picture, _ = part.given(images, size)
    assert (picture.shape, picture.dtype) == ((101, 150, 3), torch.uint8)
    assert publish.compare(part, part.module, images, size).problem is None


def test_outputs_are_in_the_pixels_of_the_picture(mask_rcnn):
    cfg, model = mask_rcnn
    part = part_of(model, cfg)
    images, _ = publish.sample(part, 0, (101, 150))
    small, large = (part.module(images, torch.tensor([side, 2 * side])) for side in (60, 120))
    torch.testing.assert_close(large[0], 2 * small[0])
    assert small[3].shape[1:] == (60, 120)
    assert large[3].shape[1:] == (120, 240)


def test_what_a_file_would_have_wrong_is_named(mask_rcnn):
    cfg, model = mask_rcnn
    part = part_of(model, cfg)
    given = publish.sample(part, 0, (101, 150))

    def changed(number, change):
        def run(*inputs):
            outputs = list(part.module(*inputs))
            outputs[number] = change(outputs[number])
            return tuple(outputs)

        return publish.compare(part, run, *given, runtime='x').problem

    assert 'boxes differ by 0.6' in changed(0, lambda boxes: boxes + 0.6)
    assert 'scores differ by 0.002' in changed(1, lambda scores: scores + 0.002)
    assert 'none of its class' in changed(2, lambda labels: labels + 1)
    assert 'masks differ by' in changed(3, lambda masks: masks.roll(9, 2))
    assert 'detections of 0.05 and more in place of' in changed(1, lambda scores: scores * 0.2)


def test_refusals(mask_rcnn, tmp_path):
    cfg, model = mask_rcnn
    with pytest.raises(InputError, match='detectors as a whole are exported as onnx'):
        publish.export(part_of(model, cfg), tmp_path / 'x.pt2', 'torch_export')
    head = model.roi_head.test_cfg
    kept, head.nms = head.nms, dict(type='soft_nms', iou_threshold=0.5)
    with pytest.raises(InputError, match='soft_nms'):
        part_of(model, cfg)
    head.nms = kept
    names, model.dataset_meta = model.dataset_meta, dict(classes=('one', 'two'))
    with pytest.raises(InputError, match='the heads tell 8 classes apart, and the data name 2'):
        part_of(model, cfg)
    model.dataset_meta = names
    with pytest.raises(InputError, match='Linear: detectors of this kind are not exported'):
        kind_of(torch.nn.Linear(1, 1))


def test_a_comparison_of_nothing_is_no_comparison(mask_rcnn, tmp_path, monkeypatch):
    cfg, model = mask_rcnn
    part = part_of(model, cfg)
    monkeypatch.setattr(publish, 'record', lambda part: None)
    nothing = publish.DetectionCheck('onnxruntime', 64, 64, 0, {}, None)
    monkeypatch.setattr(publish, 'compare', lambda *args, runtime: nothing)
    made = publish.FORMATS['onnx']._replace(write=lambda *args: {}, runs={'torch': lambda path: None})
    monkeypatch.setattr(publish, 'FORMATS', dict(onnx=made))
    with pytest.raises(InputError, match='finds nothing of a score of 0.05 .* --pictures FILE'):
        publish.export(part, tmp_path / 'x.onnx')
    assert list(tmp_path.iterdir()) == []


def test_pictures_to_compare_on(mask_rcnn):
    part = part_of(mask_rcnn[1], mask_rcnn[0])
    picture = np.full((40, 60, 3), (10, 20, 30), np.uint8)
    images, size = publish.sample(part, 5, (64, 96), [picture])
    assert (images.shape, size.tolist()) == ((1, 3, 64, 96), [40, 60])
    assert images[0, :, 3, 4].tolist() == [10, 20, 30]

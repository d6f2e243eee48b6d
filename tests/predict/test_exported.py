"""Exported models in the place of models of torch: the same files of results, and what is refused."""

import json

import cv2
import numpy as np
import pytest
import torch

from mmseq.cli.infer import RUNTIMES, main
from mmseq.datasets.shapes_scene import draw_scene
from mmseq.errors import InputError
from mmseq.export import export, part_of
from mmseq.model.trained import load_trained
from mmseq.predict.exported import ExportedModel
from mmseq.predict.predictor import Predictor
from mmseq.runtimes import RUNTIMES as ALL_RUNTIMES
from mmseq.runtimes import OnnxFile
from tests.export.models import liven

pytest.importorskip('onnxruntime', reason='exports to ONNX need mmseq[onnx]')
# Two levels and few layers: what is recorded is short.
SMALL = {
    'model.backbone.arch': dict(_delete_=True, depths=(1,), dims=(16,), hidden=(4,), patches=(7,)),
    'model.backbone.out_indices': (0,),
    'model.backbone.out_strides': (16,),
    'model.neck.in_channels': [16],
    'model.neck.num_outs': 2,
    'model.rpn_head.anchor_generator.strides': [16, 32],
    'model.roi_head.bbox_roi_extractor.featmap_strides': [16, 32],
    'model.roi_head.mask_roi_extractor.featmap_strides': [16, 32],
}
CONFIG = 'configs/mask_rcnn_seq2d_nano_shapes.py'


@pytest.fixture(scope='module')
def work(tmp_path_factory):
    """The model of a config, and a folder with its file and with pictures."""
    folder = tmp_path_factory.mktemp('work')
    cfg, model = load_trained(CONFIG, None, options=SMALL, device='cpu')
    liven(model)
    report = export(part_of(model, cfg), folder / 'model.onnx', sizes=[(96, 150), (160, 70)])
    assert report.problem is None, report.problem
    assert {check.runtime for check in report.checks} >= {'onnxruntime'}
    assert {'NonMaxSuppression', 'RoiAlign', 'TopK', 'LSTM'} <= set(report.contents['operators'])
    (folder / 'pictures').mkdir()
    for number in range(3):
        picture = draw_scene((7, number), (100, 180), False).image
        cv2.imwrite(str(folder / 'pictures' / f'{number}.png'), picture[:, :, ::-1])
    return model, folder


@pytest.fixture(scope='module')
def results(work):
    _, folder = work
    out = folder / 'predictions'
    status = main([str(folder / 'model.onnx'), str(folder / 'pictures'), '--score-thr', '0.05'])
    assert status == 0
    return out


def test_the_same_is_found_as_with_torch(work, results):
    model, folder = work
    found = json.loads((results / 'detections.json').read_text())
    assert found['categories'][0]['name'] == model.dataset_meta['classes'][0]
    (expected,) = Predictor(model).predict([str(folder / 'pictures' / '1.png')])
    expected = expected.above(0.05).instances
    mine = [row for row in found['annotations'] if row['image_id'] == 2]
    assert len(mine) == len(expected) > 3
    for row, box, score, label, area in zip(
        mine, expected.boxes, expected.scores, expected.labels, expected.masks.areas
    ):
        x, y, width, height = row['bbox']
        assert np.allclose((x, y, x + width, y + height), box, atol=0.5)
        assert row['score'] == pytest.approx(score, abs=1e-3)
        assert row['category_id'] == label + 1
        assert abs(row['area'] - area) <= 0.01 * area + 1
    summary = json.loads((results / 'summary.json').read_text())
    assert (summary['runtime'], summary['pictures'], summary['failed']) == ('onnxruntime', 3, 0)
    assert sorted(path.name for path in (results / 'overlays').iterdir()) == ['0.png', '1.png', '2.png']


def test_a_picture_with_nothing_on_it(work):
    _, folder = work
    file = OnnxFile(folder / 'model.onnx')
    given = dict(images=np.full((1, 3, 97, 64), 124, np.float32), size=np.array([97, 64]))
    found = file(given)
    number = len(found['scores'])
    assert (found['boxes'].shape, found['masks'].shape) == ((number, 4), (number, 97, 64))


def test_what_the_file_knows(work):
    model, folder = work
    exported = ExportedModel(OnnxFile(folder / 'model.onnx'))
    assert exported.dataset_meta['classes'] == list(model.dataset_meta['classes'])
    assert exported.cfg.test_pipeline[0]['type'] == 'LoadImageFromFile'
    assert 'train_cfg' not in exported.cfg.model
    text = exported.file.about['config']
    assert str(folder) not in text
    assert torch.__path__[0] not in text


@pytest.mark.parametrize(
    'arguments,words',
    [
        (['--cfg-options', 'a=1'], '--cfg-options: .*model.onnx is a model as it was exported'),
        (['--device', 'cuda'], '--device cuda: .*leave it out'),
    ],
)
def test_options_for_models_of_torch(work, arguments, words):
    _, folder = work
    with pytest.raises(InputError, match=words):
        main([str(folder / 'model.onnx'), str(folder / 'pictures'), *arguments])


def test_bad_input(work):
    _, folder = work
    with pytest.raises(InputError, match='no input after'):
        main([str(folder / 'model.onnx')])
    with pytest.raises(InputError, match='--runtime openvino runs what mmseq export-onnx wrote'):
        main([CONFIG, 'x.pth', str(folder / 'pictures'), '--runtime', 'openvino'])
    assert RUNTIMES == ALL_RUNTIMES

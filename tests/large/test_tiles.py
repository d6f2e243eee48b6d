"""A view of a model tile by tile: what it gives its model, and what comes of it."""

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData

from mmseq.errors import InputError
from mmseq.large.limit import cut_off_of, max_per_img
from mmseq.large.tiles import Tiles, tiled, without_resizing
from mmseq.model.trained import load_trained
from mmseq.pictures.masks import Masks
from mmseq.predict.predictor import Predictor

SEGMENTOR = 'configs/upernet_seq2d_nano_shapes.py'
DETECTOR = 'configs/mask_rcnn_seq2d_nano_shapes.py'


class Bright:
    """A detector that finds every bright rectangle of a picture, with the class in the red channel."""

    def __init__(self):
        self.cfg = load_config()
        self.sizes = []

    def test_step(self, data):
        self.sizes.append([tuple(image.shape) for image in data['inputs']])
        return [self.look(image, sample) for image, sample in zip(data['inputs'], data['data_samples'])]

    def look(self, image, sample):
        import cv2

        assert sample.img_shape == tuple(image.shape[1:])
        boxes, labels, masks = [], [], []
        for value in torch.unique(image[0])[1:].tolist():
            bright = (image[0] == value).numpy().astype(np.uint8)
            count, ids, stats, _ = cv2.connectedComponentsWithStats(bright)
            for number in range(1, count):
                left, top, width, height, _ = stats[number]
                boxes.append([left, top, left + width, top + height])
                labels.append(int(value) // 100)
                masks.append(torch.from_numpy(ids == number))
        size = sample.ori_shape
        factor = torch.tensor([size[1] / image.shape[2], size[0] / image.shape[1]] * 2)
        small = [
            torch.nn.functional.interpolate(mask[None, None].float(), size)[0, 0] > 0.5 if mask.shape != size else mask
            for mask in masks
        ]
        sample.pred_instances = InstanceData(
            bboxes=torch.tensor(boxes).reshape(-1, 4) * factor,
            labels=torch.tensor(labels).long(),
            scores=torch.linspace(0.9, 0.8, len(boxes)),
            masks=torch.stack(small) if small else torch.zeros(0, *size, dtype=torch.bool),
        )
        return sample


def load_config(path=DETECTOR):
    from mmengine.config import Config

    return Config.fromfile(path)


def scene():
    """(3, H, W) with rectangles across the seams of tiles of 96 px."""
    image = torch.zeros(3, 220, 310, dtype=torch.uint8)
    rectangles = [(60, 20, 140, 60, 1), (70, 80, 120, 110, 2), (10, 130, 300, 150, 1), (200, 10, 215, 25, 2)]
    for left, top, right, bottom, label in rectangles:
        image[:, top:bottom, left:right] = 100 * label
    return image, rectangles


def sample_of(image, ori_shape=None):
    from mmdet.structures import DetDataSample

    size = tuple(image.shape[1:])
    return DetDataSample(metainfo=dict(img_shape=size, ori_shape=ori_shape or size, scale_factor=(1.0, 1.0)))


@pytest.mark.parametrize('batch', [1, 5])
def test_planted_objects(batch):
    image, rectangles = scene()
    model = Bright()
    view = tiled(model, Tiles(96, 0.2, batch))
    (found,) = view.test_step(dict(inputs=[image], data_samples=[sample_of(image)]))
    assert {shape for shapes in model.sizes for shape in shapes} == {(3, 96, 96)}
    assert max(map(len, model.sizes)) == batch
    boxes = {
        (*map(int, box), int(label)) for box, label in zip(found.pred_instances.bboxes, found.pred_instances.labels)
    }
    assert boxes == set(rectangles)
    assert len(found.pred_instances) == len(rectangles)
    masks = found.pred_instances.masks
    assert isinstance(masks, Masks)
    for (left, top, right, bottom), area, box in zip(found.pred_instances.bboxes, masks.areas, masks.boxes):
        assert area == (right - left) * (bottom - top)
        assert box.tolist() == [left, top, right, bottom]


def test_results_in_another_size_than_the_tiles():
    """As the web page asks for them."""
    image, rectangles = scene()
    (found,) = tiled(Bright(), Tiles(96, 0.2)).test_step(
        dict(inputs=[image], data_samples=[sample_of(image, (110, 155))])
    )
    assert found.pred_instances.masks.shape == (len(rectangles), 110, 155)
    half = {tuple(side / 2 for side in one[:4]) for one in rectangles}
    for box in found.pred_instances.bboxes.tolist():
        assert min(max(abs(a - b) for a, b in zip(box, one)) for one in half) <= 1


def test_an_image_of_one_tile_is_the_models():
    torch.manual_seed(0)
    _, model = load_trained(DETECTOR, None, device='cpu')
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    (whole,) = Predictor(model, full_size=True).predict([image])
    (one,) = Predictor(model, tiles=Tiles(128)).predict([image])
    assert len(whole.instances) == len(one.instances) > 3
    np.testing.assert_allclose(whole.instances.boxes, one.instances.boxes, atol=1e-3)
    assert np.array_equal(np.asarray(whole.instances.masks), np.asarray(one.instances.masks))
    # The model itself is as it was.
    assert type(model).__name__ == 'MaskRCNN'
    assert not hasattr(model, 'tiles')


def test_a_segmentor_goes_window_by_window():
    _, model = load_trained(SEGMENTOR, None, device='cpu')
    view = tiled(model, Tiles(64, 0.25))
    assert type(view).__name__ == 'SlidingEncoderDecoder'
    assert (view.test_cfg.mode, view.test_cfg.crop_size, view.test_cfg.stride) == ('slide', (64, 64), (48, 48))
    assert view.backbone is model.backbone
    assert model.test_cfg.mode == 'whole'
    with pytest.raises(InputError, match='this model is a CascadeEncoderDecoder'):
        tiled(type('CascadeEncoderDecoder', (), dict(decode_head=None))(), Tiles(64))


def test_panoptic_models_are_refused():
    model = Bright()
    model.look = lambda image, sample: sample
    image, _ = scene()
    with pytest.raises(InputError, match='instances are joined'):
        tiled(model, Tiles(96)).test_step(dict(inputs=[image], data_samples=[sample_of(image)]))


@pytest.mark.parametrize('size, overlap', [(31, 0.2), (64, 0.95), (64, -0.1)])
def test_tiles_that_do_not_work(size, overlap):
    with pytest.raises(InputError, match='expected tiles from 32 px, and an overlap from 0 to 0.9'):
        Tiles(size, overlap)


def test_places_cover_the_image():
    for height, width in ((220, 310), (96, 97), (50, 400)):
        covered = np.zeros((height, width), int)
        for left, top, right, bottom in Tiles(96, 0.2).places(height, width).tolist():
            assert right - left == min(96, width)
            assert bottom - top == min(96, height)
            covered[top:bottom, left:right] += 1
        assert covered.min() == 1


def test_a_limit_that_a_tile_reached_is_the_images():
    image, _ = scene()
    model = Bright()
    model.cfg.model.test_cfg.rcnn.max_per_img = 2
    (found,) = tiled(model, Tiles(96, 0.2)).test_step(dict(inputs=[image], data_samples=[sample_of(image)]))
    assert found.cut_off == pytest.approx(0.8)
    model.cfg.model.test_cfg.rcnn.max_per_img = 100
    (found,) = tiled(model, Tiles(96, 0.2)).test_step(dict(inputs=[image], data_samples=[sample_of(image)]))
    assert found.cut_off is None


@pytest.mark.parametrize(
    'test_cfg, limit',
    [
        (dict(rpn=dict(max_per_img=1000), rcnn=dict(max_per_img=100)), ('model.test_cfg.rcnn.max_per_img', 100)),
        (dict(max_per_img=300), ('model.test_cfg.max_per_img', 300)),
        (dict(max_per_image=50), ('model.test_cfg.max_per_image', 50)),
        (dict(mode='whole'), None),
        (None, None),
    ],
)
def test_where_the_limit_stands(test_cfg, limit):
    from mmengine.config import Config

    cfg = Config(dict(model=dict(test_cfg=test_cfg)))
    assert max_per_img(cfg) == limit
    if limit:
        assert cut_off_of(np.linspace(0.9, 0.1, limit[1]), cfg) == pytest.approx(0.1)
        assert cut_off_of(np.linspace(0.9, 0.1, limit[1] - 1), cfg) is None


def test_resizing_is_left_out():
    steps = [dict(type='LoadImageFromFile'), dict(type='mmdet.Resize', scale=(1333, 800)), dict(type='PackDetInputs')]
    assert without_resizing(steps) == [steps[0], dict(type='Resize', scale_factor=1.0), steps[2]]

"""All sizes of images change together, and fit the images of a card."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from mmengine.config import Config
from PIL import Image

from mmseq.config import read_config
from mmseq.datasets.own.card import Part, read_card
from mmseq.engine.own.changes import OwnData
from mmseq.engine.own.image_size import config_size, fitting_size, set_image_size, usual_size
from mmseq.errors import InputError
from mmseq.nested import walk


def sized(config: str, size: int) -> Config:
    return read_config(config, {}, OwnData(image_size=size))


def values(node: object, key: str) -> list:
    return [step[key] for step in walk(node) if key in step]


def test_a_segmentors_crop_scale_and_padding_go_together() -> None:
    cfg = sized('mmseq::upernet_vil_t_ade20k', 256)
    assert config_size(cfg) == 256
    assert values(cfg.train_dataloader, 'crop_size') == [(256, 256)]
    assert values([cfg.train_dataloader, cfg.test_dataloader], 'scale') == [(1024, 256)] * 2
    assert cfg.model.data_preprocessor.size == (256, 256)
    # Padding ends with a whole stride.
    cfg = sized('mmseq::upernet_vil_t_ade20k', 300)
    assert (config_size(cfg), cfg.model.data_preprocessor.size) == (300, (320, 320))
    # Sequencer2D's are 14 px long.
    assert sized('mmseq::upernet_seq2d_s_ade20k', 300).model.data_preprocessor.size == (308, 308)


def test_shorter_edges_and_windows_go_along() -> None:
    cfg = sized('mmseq::mask2former_seq2d_s_ade20k', 256)
    choice = next(step for step in walk(cfg.train_dataloader) if step.get('type') == 'RandomChoiceResize')
    assert (choice.scales[0], choice.scales[-1], choice.max_size) == (128, 512, 1024)
    cfg = sized('mmseg::segformer/segformer_mit-b0_8xb1-160k_cityscapes-1024x1024.py', 512)
    assert (cfg.model.test_cfg.crop_size, cfg.model.test_cfg.stride) == ((512, 512), (384, 384))


def test_a_detectors_scales_and_crops_go_together() -> None:
    cfg = sized('mmseq::dino_seq2d_s_coco', 400)
    assert values(cfg.test_dataloader, 'scale') == [(666, 400)]
    assert values(cfg.train_dataloader, 'crop_size') == [(192, 300)]
    assert values(cfg.train_dataloader, 'scales')[0][0] == (240, 666)
    cfg = sized('mmseq::mask2former_seq2d_s_coco', 400)
    assert cfg.model.data_preprocessor.batch_augments[0].size == (512, 512)
    cfg = sized('mmdet::yolox/yolox_tiny_8xb8-300e_coco.py', 208)
    assert set(values(cfg.train_dataloader, 'img_scale')) == {(320, 320)}
    assert values(cfg.train_dataloader, 'border') == [(-160, -160)]


def test_what_is_no_size_is_refused() -> None:
    with pytest.raises(InputError, match='--image-size 16: images need at least 32 px'):
        sized('mmseq::upernet_seq2d_nano_shapes', 16)
    with pytest.raises(InputError, match='the config names no size'):
        set_image_size(Config(dict(model={})), 64)


@pytest.mark.parametrize(
    ('config', 'width', 'height', 'size'),
    [
        # Photographs under a recipe for photographs.
        ('faster_rcnn_seq2d_s_coco', 4000, 3000, None),
        ('faster_rcnn_seq2d_s_coco', 640, 480, 480),
        ('upernet_seq2d_s_ade20k', 4000, 3000, None),
        ('upernet_seq2d_s_ade20k', 320, 240, 224),
        # Under one for generated images of 160 px.
        ('faster_rcnn_seq2d_nano_shapes', 4000, 3000, 320),
        ('faster_rcnn_seq2d_nano_shapes', 200, 100, 192),
        ('upernet_seq2d_nano_shapes', 640, 480, 320),
        ('upernet_seq2d_nano_shapes', 96, 64, 64),
    ],
)
def test_images_are_not_enlarged(
    config: str, width: int, height: int, size: int | None, cards: dict[str, Path], tmp_path: Path
) -> None:
    semantic = 'upernet' in config
    card = read_card(cards['semantic' if semantic else 'boxes'])
    if semantic:
        Image.new('L', (width, height)).save(tmp_path / 'a.png')
        card = replace(card, train=Part(tmp_path, tmp_path, '.png'))
    else:
        images = [dict(width=side, height=height) for side in (width, width, 9 * width)]
        (tmp_path / 'a.json').write_text(json.dumps(dict(images=images)))
        card = replace(card, train=Part(tmp_path, tmp_path / 'a.json'))
    assert usual_size(card) == (width, height)
    assert fitting_size(read_config(f'mmseq::{config}', {}), card) == size


def test_images_that_cannot_be_read_are_named(cards: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / 'a.jpg').write_bytes(b'no image')
    with pytest.raises(InputError, match='there is no image to train on that can be read'):
        usual_size(replace(read_card(cards['semantic']), train=Part(tmp_path, tmp_path)))

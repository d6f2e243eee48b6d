"""Evaluation tile by tile: with one tile it is the evaluation of whole images at their own resolution."""

import json

import pytest
import torch

from mmseq.datasets.shapes import generate
from mmseq.engine.launch import evaluate
from mmseq.errors import InputError
from mmseq.large.tiles import Tiles
from mmseq.model.trained import load_trained

DETECTOR = 'configs/mask_rcnn_seq2d_nano_shapes.py'
WHOLE = {'test_dataloader.dataset.pipeline.1': dict(type='Resize', scale_factor=1.0)}


@pytest.fixture
def checkpoint(tmp_path, monkeypatch):
    """Fresh weights, and two images."""
    generate(tmp_path / 'data' / 'shapes', train=1, val=2, seed=0)
    monkeypatch.setenv('MMSEQ_DATA', str(tmp_path / 'data'))
    torch.manual_seed(0)
    _, model = load_trained(DETECTOR, None, device='cpu')
    # Else nothing is surer than 0.05.
    model.roi_head.bbox_head.fc_cls.weight.data *= 60
    torch.save(dict(state_dict=model.state_dict(), meta={}), tmp_path / 'det.pth')
    return str(tmp_path / 'det.pth')


def detections(checkpoint, out, **options):
    """What is evaluated, and the metrics."""
    metrics = evaluate(DETECTOR, checkpoint, work_dir=str(out), out=str(out / 'found'), **options)
    return json.loads((out / 'found' / 'predictions.segm.json').read_text()), metrics


def test_one_tile_is_the_whole_image(checkpoint, tmp_path):
    whole, metrics = detections(checkpoint, tmp_path / 'whole', options=WHOLE)
    tiled, same = detections(checkpoint, tmp_path / 'one', tiles=Tiles(1024))
    assert len(whole) == len(tiled) > 5
    assert metrics == same
    assert {row['image_id'] for row in tiled} == {row['image_id'] for row in whole}
    # Many tiles find other things; their masks are of the whole image.
    pieces, _ = detections(checkpoint, tmp_path / 'many', tiles=Tiles(64, 0.25))
    assert {tuple(row['segmentation']['size']) for row in pieces} == {
        tuple(row['segmentation']['size']) for row in whole
    }
    written = next((tmp_path / 'many').glob('*.py')).read_text()
    assert 'mmseq.TilesHook' in written


def test_tiles_of_views_are_refused(checkpoint, tmp_path):
    with pytest.raises(InputError, match='--tta averages whole images'):
        evaluate(DETECTOR, checkpoint, work_dir=str(tmp_path), tta=True, tiles=Tiles(64))

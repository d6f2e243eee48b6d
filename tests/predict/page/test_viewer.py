"""What the web page shows, without the page."""

from importlib.util import find_spec

import numpy as np
import pytest
import torch
from PIL import Image

from mmseq.errors import InputError
from mmseq.model.trained import load_trained
from mmseq.predict.page.viewer import FIELDS, MAX_SIDE, Limits, Viewer, in_display_size, level_strides
from mmseq.predict.predictor import Predictor

SEGMENTOR = 'configs/upernet_seq2d_nano_shapes.py'
DETECTOR = 'configs/mask_rcnn_seq2d_nano_shapes.py'
needs_tifffile = pytest.mark.skipif(not find_spec('tifffile'), reason='tifffile is not installed (mmseq[tiff])')


@pytest.fixture(scope='module', params=[SEGMENTOR, DETECTOR])
def viewer(request):
    torch.manual_seed(0)
    model = load_trained(request.param, None, device='cpu')[1]
    model.dataset_meta['classes'] = ('<b>', *model.dataset_meta['classes'][1:])
    return Viewer(Predictor(model, certainty=True), Limits(bytes=2**20, pixels=10**5))


@pytest.fixture
def picture(tmp_path):
    coarse = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((120, 90)).save(tmp_path / 'a.png')
    return str(tmp_path / 'a.png')


def test_all_that_is_shown_of_a_picture(viewer, picture):
    result = viewer.predict(picture, 'photo.png')
    assert result.size == (90, 120)
    assert viewer.overlay(result, 0, 0.5).shape == (675, 900, 3)
    html = viewer.legend(result, 0)
    assert 'photo.png · 120 × 90 px' in html
    assert html.count('<li>') > 0
    assert '<b><b>' not in html
    assert ('sure 0.' in html) != viewer.detects
    if viewer.detects:
        assert '<h3>No objects</h3>' in viewer.legend(result, 1)
    shown, text = viewer.receptive_field(result, 3, (0.25, 0.5))
    assert shown.shape == (675, 900, 3)
    assert text.startswith(f'Stride {viewer.strides[3]}: half of what')
    # A second look computes nothing.
    assert viewer.receptive_field(result, 3, (0.26, 0.51))[1] == text
    assert len(result.fields) == 1
    # The model goes on as before.
    assert viewer.legend(viewer.predict(picture, 'photo.png'), 0).split('</p>')[1] == html.split('</p>')[1]


@pytest.mark.parametrize('point', [(0.0, 0.999), (0.9, 0.2)])
def test_the_field_lies_around_its_point(viewer, picture, point):
    result = viewer.predict(picture, 'a.png')
    viewer.receptive_field(result, 0, point)
    (field,) = result.fields.values()
    assert field.shape == result.prepared.data['data_samples'].img_shape
    row, column = np.unravel_index(field.argmax(), field.shape)
    assert abs(row - point[1] * field.shape[0]) < 16
    assert abs(column - point[0] * field.shape[1]) < 16


def test_uploads_that_are_refused(viewer, tmp_path):
    (tmp_path / 'text.png').write_text('text')
    Image.new('RGB', (400, 400)).save(tmp_path / 'wide.png')
    (tmp_path / 'heavy.png').write_bytes(bytes(2 * 2**20))
    Image.effect_noise((200, 200), 50).save(tmp_path / 'torn.jpg')
    (tmp_path / 'torn.jpg').write_bytes((tmp_path / 'torn.jpg').read_bytes()[:3000])
    for name, complaint in (
        ('text.png', 'is no picture that can be read'),
        ('wide.png', 'has 0.2 million pixels; at most 0.1 million'),
        ('heavy.png', 'has 2.0 MB; at most 1 MB'),
        ('torn.jpg', 'truncated'),
    ):
        with pytest.raises(InputError, match=rf'^mine\.png.*{complaint}'):
            viewer.predict(str(tmp_path / name), 'mine.png')


def test_a_header_alone_says_that_a_picture_is_too_large(viewer, tmp_path, monkeypatch):
    Image.new('1', (20000, 20000)).save(tmp_path / 'huge.png')
    monkeypatch.setattr(viewer.predictor, 'prepare', lambda path: pytest.fail('decoded'))
    with pytest.raises(InputError, match='has far more pixels'):
        viewer.predict(str(tmp_path / 'huge.png'), 'huge.png')


@pytest.mark.parametrize('size, shown', [((90, 120), (675, 900)), ((1000, 2000), (MAX_SIDE // 2, MAX_SIDE))])
def test_predictions_come_in_the_size_that_is_shown(viewer, tmp_path, size, shown):
    """Without the picture's own, in which they would not fit into memory."""
    coarse = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize(size[::-1]).save(tmp_path / 'a.png')
    predictor = viewer.predictor
    prepared = predictor.prepare(tmp_path / 'a.png')
    (large,), (own,) = predictor.run([in_display_size(prepared)]), predictor.run([prepared])
    assert large.size == shown
    assert own.size == size
    if viewer.detects:
        assert large.instances.masks.shape[1:] == shown
        factors = np.array([shown[1] / size[1], shown[0] / size[0]] * 2)
        np.testing.assert_allclose(large.instances.boxes, own.instances.boxes * factors, rtol=1e-3, atol=0.1)
        shares = [np.asarray(one.instances.masks).mean() for one in (large, own)]
        assert shares[0] == pytest.approx(shares[1], abs=0.02)
    else:
        assert large.labels.shape == large.certainty.shape == shown
        rows, columns = (np.arange(old) * new // old for old, new in zip(size, shown))
        assert (large.labels[np.ix_(rows, columns)] == own.labels).mean() > 0.9


def test_strides_of_a_backbone_that_declares_none():
    class Backbone(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Conv2d(3, 4, 8, stride=8)

        def forward(self, x):
            return self.layer(x), self.layer(x)[:, :, ::2, ::2]

    model = torch.nn.Module()
    model.backbone = Backbone()
    assert list(level_strides(model)) == [8, 16]


def test_fields_of_a_picture_take_a_bounded_memory(viewer, picture):
    """Somebody clicks on every cell."""
    result = viewer.predict(picture, 'a.png')
    before = result.held
    for step in range(FIELDS + 3):
        viewer.receptive_field(result, 0, ((step + 0.5) / 20, 0.5))
    assert len(result.fields) == FIELDS
    assert result.held == before + sum(field.nbytes for field in result.fields.values()) > before
    # The latest is there.
    assert max(column for _, _, column in result.fields) == list(result.fields)[-1][2]


def test_bytes_of_a_result_are_those_of_all_that_it_holds(viewer, picture):
    result = viewer.predict(picture, 'a.png')
    held = [result.prepared.data['inputs'].numpy(), result.prediction.picture]
    if viewer.detects:
        found = result.prediction.instances
        held += [found.boxes, found.labels, found.scores, *found.masks.edges]
    else:
        held += [result.prediction.labels, result.prediction.certainty]
    assert result.held == sum(array.nbytes for array in held)


@pytest.mark.parametrize('name', ['a.npy', pytest.param('a.tif', marks=needs_tifffile)])
def test_files_of_many_channels_are_refused_by_their_header(tmp_path, monkeypatch, name):
    """A small file may hold as many numbers as one likes."""
    loader = dict(type='mmseq.LoadMultispectralImage', channels=6)
    options = {
        'model.backbone.in_channels': 6,
        'model.data_preprocessor.mean': None,
        'model.data_preprocessor.std': None,
        'model.data_preprocessor.bgr_to_rgb': False,
        'test_dataloader.dataset.pipeline.0': loader,
    }
    viewer = Viewer(Predictor(load_trained(SEGMENTOR, None, options=options, device='cpu')[1]), Limits(pixels=10**4))
    path = tmp_path / name
    if name == 'a.npy':
        np.save(path, np.zeros((200, 200, 6), np.uint8))
    else:
        import tifffile

        tifffile.imwrite(path, np.zeros((200, 200, 6), np.uint8), compression='zlib', planarconfig='separate')
    monkeypatch.setattr(viewer.predictor, 'prepare', lambda path: pytest.fail('decoded'))
    with pytest.raises(InputError, match='has 0.0 million pixels; at most 0.01 million'):
        viewer.predict(str(path), 'mine')
    # Long before its end is missed.
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match='cannot be read'):
        viewer.predict(str(path), 'mine')


def test_an_upload_that_is_no_longer_there(viewer, tmp_path):
    with pytest.raises(InputError, match='mine.png is no longer here; drop it again'):
        viewer.predict(str(tmp_path / 'gone.png'), 'mine.png')

"""Whatever a pipeline gives can be shown, in its own colours where it has any."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmseq.errors import InputError
from mmseq.pictures.displayable import displayable, read_displayable

RED = np.full((4, 5, 3), (250, 20, 3), np.uint8)
BLUE_FIRST = RED[:, :, ::-1]


@pytest.mark.parametrize(
    'image',
    [
        BLUE_FIRST,
        BLUE_FIRST.astype(np.float32),
        BLUE_FIRST.astype(np.uint16),
        # as colour transforms leave the range
        np.where(BLUE_FIRST == 250, 300.0, BLUE_FIRST).astype(np.float32),
    ],
)
def test_three_channels_of_bytes_keep_their_values(image: np.ndarray) -> None:
    shown = displayable(image)
    assert shown.dtype == np.uint8
    assert np.array_equal(np.minimum(shown, 250), RED)


def test_a_dark_picture_stays_dark() -> None:
    assert np.array_equal(displayable(np.ones((4, 5, 3), np.uint8)), np.ones((4, 5, 3), np.uint8))


@pytest.mark.parametrize('shape', [(40, 50), (40, 50, 1), (40, 50, 2), (40, 50, 3), (40, 50, 6)])
@pytest.mark.parametrize('scale', [1, 60000])
def test_all_else_is_stretched(shape: tuple[int, ...], scale: int) -> None:
    image = np.random.default_rng(0).normal(size=shape).astype(np.float32) * scale
    shown = displayable(image)
    assert (shown.shape, shown.dtype, shown.min(), shown.max()) == ((40, 50, 3), np.uint8, 0, 255)


def test_channels_of_other_loaders_keep_their_order() -> None:
    image = np.random.default_rng(0).integers(0, 200, (40, 50, 3)).astype(np.float32)
    image[:, :, 0] = 0
    shown = displayable(image, of_bytes=False)
    assert shown[:, :, 0].max() == 0
    assert shown[:, :, 2].max() == 255


def test_files_of_every_kind(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 60000, (40, 50, 6), np.uint16)
    np.save(tmp_path / 'a.npy', image)
    seen = read_displayable(tmp_path / 'a.npy')
    assert (seen.shape, seen.dtype, seen.min(), seen.max()) == ((40, 50, 3), np.uint8, 0, 255)
    Image.fromarray(seen).save(tmp_path / 'b.png')
    assert np.array_equal(read_displayable(tmp_path / 'b.png'), seen)
    Image.fromarray(image[:, :, 0]).save(tmp_path / 'c.png')
    assert np.array_equal(read_displayable(tmp_path / 'c.png')[:, :, 0], seen[:, :, 0])
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(seen).save(tmp_path / 'd.png', exif=turned)
    assert read_displayable(tmp_path / 'd.png').shape == (50, 40, 3)
    (tmp_path / 'e.npy').write_bytes(b'x')
    with pytest.raises(InputError, match=r'e\.npy: cannot be read'):
        read_displayable(tmp_path / 'e.npy')

"""Images are read as the config's loader reads them, whatever PIL thinks of them."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mmseq.datasets.checks import images
from mmseq.datasets.checks.images import DamagedFileError, decode, glance


def test_tiff_is_read_by_the_loader_of_the_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / 'a.tif')
    cv2.imwrite(path, np.full((6, 8, 3), 700, np.uint16))

    def no_package(path: str) -> np.ndarray:
        raise AssertionError('tifffile is asked')

    monkeypatch.setattr(images, 'read_channels', no_package)
    for channels in (False, None):
        header, _ = decode(path, channels=channels)
        assert (header.height, header.width, header.sixteen_bit) == (6, 8, True)
    with pytest.raises(AssertionError, match='tifffile is asked'):
        decode(path, channels=True)


def test_arrays_are_read_by_one_loader_only(tmp_path: Path) -> None:
    path = str(tmp_path / 'a.npy')
    np.save(path, np.zeros((6, 8, 5)))
    assert decode(path)[0].width == 8
    with pytest.raises(DamagedFileError, match='OpenCV cannot decode it'):
        decode(path, channels=False)


@pytest.mark.parametrize('suffix', ['.png', '.jpg'])
def test_images_above_the_limit_of_pil(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / f'a{suffix}'
    Image.new('RGB', (80, 60)).save(path)
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 100)
    assert glance(str(path)) is None
    header, _ = decode(str(path))
    assert (header.height, header.width) == (60, 80)
    with pytest.raises(DamagedFileError, match='cut it into tiles'):
        decode(str(path), labels=True)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DamagedFileError, match='torn or too large'):
        decode(str(path))

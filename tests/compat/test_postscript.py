"""PostScript is not run, whatever it is called and whoever opens it."""

from pathlib import Path

import mmcv
import pytest
from PIL import EpsImagePlugin, Image

from mmseq.compat import postscript
from mmseq.datasets.checks.images import DamagedFileError, decode
from mmseq.datasets.formats import open_image

PROGRAM = b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n'


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A picture that would leave a marker if a Ghostscript were run."""
    (gs := tmp_path / 'gs').write_text(f'#!/bin/sh\ntouch {tmp_path / "marker"}\n')
    gs.chmod(0o755)
    monkeypatch.setenv('PATH', str(tmp_path), prepend=':')
    monkeypatch.setattr(EpsImagePlugin, 'gs_binary', None)
    postscript._switch_off(EpsImagePlugin)
    (tmp_path / 'a.png').write_bytes(PROGRAM)
    return tmp_path / 'a.png'


def test_nobody_runs_it(program: Path) -> None:
    with pytest.raises(OSError, match='Ghostscript'), Image.open(program) as image:
        image.load()
    with pytest.raises(OSError, match='Ghostscript'):
        mmcv.imfrombytes(program.read_bytes(), flag='unchanged', backend='pillow')
    for labels in (True, False):
        with pytest.raises(DamagedFileError, match='cannot be decoded'):
            decode(str(program), labels=labels)
    with pytest.raises(OSError, match='cannot identify'):
        open_image(program)
    assert not (program.parent / 'marker').exists()


def test_mmseq_switches_it_off() -> None:
    assert EpsImagePlugin.gs_binary is False


@pytest.mark.parametrize('kind', ['PNG', 'JPEG', 'BMP', 'GIF', 'TIFF', 'WEBP', 'PPM'])
def test_pictures_open_by_content(tmp_path: Path, kind: str) -> None:
    Image.new('RGB', (8, 8)).save(tmp_path / 'a', format=kind)
    (tmp_path / 'a').rename(tmp_path / 'a.xyz')
    assert open_image(tmp_path / 'a.xyz').size == (8, 8)

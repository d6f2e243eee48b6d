"""Pictures of test images of one name in several folders."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from mmseq.engine.hooks import PicturesHook


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    """Four frames in folders of their own, and one beside one of them that differs in its suffix."""
    paths = [tmp_path / f'images/scene{i}/frame.png' for i in range(4)] + [tmp_path / 'images/scene0/frame.jpg']
    for i, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4, 3), 40 * i, np.uint8)).save(path)
    return paths


class Sample(dict):
    """A test sample."""

    def __init__(self, path: Path, **fields: object) -> None:
        super().__init__(fields)
        self.img_path = str(path)


class Visualizer:
    """Writes the image alone, as upstream's do with what they draw."""

    def add_datasample(self, name: str, image: np.ndarray, data_sample: Sample, out_file: str, **_: float) -> None:
        Path(out_file).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(out_file)


@pytest.mark.parametrize('fields', [{}, {'pred_instances': ()}], ids=('segmentor', 'detector'))
def test_every_image_has_its_picture(images: list[Path], tmp_path: Path, fields: dict) -> None:
    hook = PicturesHook(str(tmp_path / 'out'), str(tmp_path / 'images'))
    runner = SimpleNamespace(visualizer=Visualizer())
    # a second test in the same process writes to the same places
    for _ in range(2):
        hook.after_test_iter(runner, 0, outputs=[Sample(path, **fields) for path in images])
    written = {
        path.relative_to(tmp_path / 'out').as_posix(): int(np.array(Image.open(path)).max())
        for path in (tmp_path / 'out').rglob('*.png')
    }
    assert written == {f'scene{i}/frame.png': 40 * i for i in range(4)} | {'scene0/frame_2.png': 160}

"""Pictures of real runs, small ones: the models predict again, and the page shows it."""

import base64
import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmseq.pictures import scaling
from mmseq.runs.report import pictures
from mmseq.runs.run import Run, read_runs


@pytest.fixture
def moved(small_runs: Path, tmp_path: Path) -> Run:
    """The segmentor's work dir at another place, to be damaged."""
    shutil.copytree(small_runs / 'seg', tmp_path / 'moved')
    return read_runs([tmp_path / 'moved'])[0]


def pixels(panel: dict) -> np.ndarray:
    head, _, body = panel['source'].partition(',')
    assert head == 'data:image/webp;base64'
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(body))))
    assert picture.shape == (panel['height'], panel['width'], 3)
    return picture.astype(int)


def test_segmentor(small_runs: Path) -> None:
    (found,), notes = pictures.gallery(read_runs([small_runs / 'seg']), 2, 'cpu')
    assert notes == []
    assert [(section['title'], len(section['items'])) for section in found['sections']] == [('Worst', 2), ('Best', 2)]
    for item in (item for section in found['sections'] for item in section['items']):
        assert [panel['caption'] for panel in item['panels']] == ['Picture', 'Truth', 'Prediction', 'Wrong pixels']
        picture, truth, prediction, wrong = map(pixels, item['panels'])
        assert max(picture.shape) == scaling.ENLARGE_TO
        assert np.abs(truth - picture).mean() > 3
        right = float(item['scores'][0]['words'].partition(' % of pixels right')[0])
        red = wrong[..., 0] > wrong[..., 1] + 60
        assert 100 * red.mean() == pytest.approx(100 - right, abs=3)
    assert np.abs(truth - prediction).max() > 30


def test_detector_and_segmentor_of_the_same_images_are_not_mixed(small_runs: Path) -> None:
    groups, notes = pictures.gallery(read_runs([small_runs / 'det', small_runs / 'seg']), 1, 'cpu')
    assert [group['runs'] for group in groups] == [[0], [1]]
    assert notes == []
    (item,) = groups[0]['sections'][0]['items']
    assert [panel['caption'] for panel in item['panels']] == ['Picture', 'Truth', 'Prediction']
    assert np.abs(pixels(item['panels'][0]) - pixels(item['panels'][1])).max() > 60
    assert 'missed' in item['scores'][0]['words']


def test_runs_over_the_same_images_share_them(small_runs: Path) -> None:
    (group,), _ = pictures.gallery(read_runs([small_runs / 'seg', small_runs / 'seg_2']), 1, 'cpu')
    assert group['runs'] == [0, 1]
    item = group['sections'][0]['items'][0]
    assert [panel['run'] for panel in item['panels']] == [None, None, 0, 1]
    assert [score['run'] for score in item['scores']] == [0, 1]


def test_a_moved_work_dir_has_its_checkpoint_with_it(moved: Run) -> None:
    moved.report['checkpoint'] = 'elsewhere/iter_2.pth'
    assert pictures.find_checkpoint(moved) == (moved.folder / 'iter_2.pth', '')


def test_images_are_prepared_as_for_the_evaluation(moved: Run) -> None:
    config = next(moved.folder.glob('*/vis_data/config.py'))
    gone = ''.join(f'{key} = None\n' for key in ('test_dataloader', 'test_evaluator', 'test_cfg'))
    config.write_text(f'{config.read_text()}\n{gone}')
    loaded = pictures.load_run(moved, 'cpu')
    assert loaded.predictor.model.cfg.test_dataloader.dataset.data_prefix.img_path == 'images/validation'
    assert len(pictures.gallery([moved], 1, 'cpu')[0][0]['sections']) == 2


def test_another_checkpoint_is_noted_and_a_best_one_preferred(moved: Run) -> None:
    moved.report['checkpoint'] = 'gone.pth'
    for name in ('best_mIoU_iter_1.pth', 'iter_1.pth'):
        shutil.copy(moved.folder / 'iter_2.pth', moved.folder / name)
    path, note = pictures.find_checkpoint(moved)
    assert path.name == 'best_mIoU_iter_1.pth'
    assert note == 'the pictures are by best_mIoU_iter_1.pth, since the evaluated checkpoint was not kept'


def test_what_is_gone_is_said_in_a_sentence(moved: Run) -> None:
    moved.report['checkpoint'] = 'gone.pth'
    (moved.folder / 'iter_2.pth').unlink()
    groups, notes = pictures.gallery([moved], 1, 'cpu')
    assert groups == []
    assert len(notes) == 1
    assert notes[0].startswith('moved: no pictures, since gone.pth is gone, and folder ')
    assert 'holds no checkpoint: looked for best_*.pth' in notes[0]
    (moved.folder / 'per_image.csv').unlink()
    assert pictures.gallery([moved], 1, 'cpu')[1] == [
        'moved: no per_image.csv in the work dir, which every evaluation writes'
    ]


def test_data_that_are_gone(moved: Run, small_runs: Path) -> None:
    config = moved.folder / next(moved.folder.glob('*/vis_data/config.py')).relative_to(moved.folder)
    config.write_text(config.read_text().replace(str(small_runs / 'data'), str(small_runs / 'elsewhere')))
    groups, notes = pictures.gallery([moved], 1, 'cpu')
    assert groups == []
    assert len(notes) == 1
    assert 'elsewhere' in notes[0]
    assert '\n' not in notes[0]


def test_other_data_than_those_that_were_evaluated(moved: Run) -> None:
    table = moved.folder / 'per_image.csv'
    lines = table.read_text().splitlines()
    table.write_text('\n'.join([lines[0], *reversed(lines[1:])]))
    groups, notes = pictures.gallery([moved], 4, 'cpu')
    assert groups == []
    assert 'is not at place 0 of the data set any more; evaluate again' in notes[0]

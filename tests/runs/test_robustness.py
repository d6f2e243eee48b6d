"""From what evaluations left to means, comparisons, files and plots."""

import csv
import json
from pathlib import Path

import pytest

from mmseq.errors import InputError
from mmseq.runs import robustness_plot
from mmseq.runs.robustness import read_robustness, write_robustness
from tests.fake_robustness import detector, segmentor


@pytest.fixture
def without_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('mmseq.runs.robustness.plot', lambda *_: [])


@pytest.mark.usefixtures('without_plots')
def test_means_under_corruption_as_the_papers_define_them(tmp_path: Path) -> None:
    summary = write_robustness(segmentor(tmp_path)).summary
    found = summary['corruptions']['metrics']['mIoU']
    assert found['means'] == dict(fog=20, frost_generated=50)
    assert found['mPC'] == 35
    assert found['rPC'] == pytest.approx(35 / 60)
    assert found['mPC_without_generated'] == 20
    assert found['rPC_without_generated'] == pytest.approx(20 / 60)
    assert found['by_corruption']['fog'] == {'1': 30, '2': 10}
    assert any('frost_generated is a generated texture' in note for note in summary['notes'])


@pytest.mark.usefixtures('without_plots')
def test_views_are_compared_with_the_image_as_it_is(tmp_path: Path) -> None:
    (found,) = write_robustness(segmentor(tmp_path)).summary['consistency'].values()
    assert found['agreement'] == pytest.approx(200 / 3)
    assert found['metrics'] == dict(mIoU=58)
    assert found['place']['bands'][0] == pytest.approx(200 / 3)


def test_all_of_it_is_in_files(tmp_path: Path) -> None:
    robustness = write_robustness(segmentor(tmp_path / 'robustness'))
    (found,) = read_robustness(tmp_path)
    assert found['folder'] == str(tmp_path / 'robustness')
    assert found['main'] == dict(mIoU=60)
    with (tmp_path / 'robustness' / 'robustness.csv').open() as file:
        rows = {(row['part'], row['name'], row['metric']): row['value'] for row in csv.DictReader(file)}
    assert rows['corruptions', 'fog_2', 'mIoU'] == '10.0'
    assert rows['corruptions', 'mPC', 'mIoU'] == '35.0'
    assert rows['resolution', '2', 'size/mIoU_small'] == '30.0'
    assert float(rows['consistency', 'flip_horizontal', 'agreement']) == pytest.approx(200 / 3)
    names = ('corruptions', 'boundaries', 'resolution', 'consistency', 'position', 'calibration')
    assert {path.stem for path in (tmp_path / 'robustness').glob('*.png')} == set(names)
    lines = '\n'.join(robustness.lines())
    assert 'mIoU: clean 60, under corruption 35 (58.3 % of it)' in lines
    assert 'boundaries: mIoU 40' in lines


@pytest.mark.usefixtures('without_plots')
def test_plots_have_numbers_that_can_be_read(tmp_path: Path) -> None:
    summary = write_robustness(segmentor(tmp_path)).summary
    figure = robustness_plot.boundaries(summary)
    figure.canvas.draw()
    ticks = {label.get_text() for label in figure.axes[1].get_xticklabels()}
    assert '1' in ticks
    assert not any('{' in tick for tick in ticks)
    assert [text.get_text() for text in robustness_plot.consistency(summary).axes[0].texts] == ['66.7']


def test_a_detector_without_objects_of_a_size(tmp_path: Path) -> None:
    summary = write_robustness(detector(tmp_path)).summary
    assert summary['main'] == {'coco/bbox_mAP': 0.4}
    assert summary['notes'] == []
    assert summary['boundaries']['metrics'] == dict(AP=0.1)
    assert (tmp_path / 'resolution.png').is_file()


def test_a_measurement_that_was_interrupted(tmp_path: Path) -> None:
    folder = segmentor(tmp_path, quick=True, images=50)
    (folder / 'evaluations' / 'corruptions' / 'fog_2' / 'figures.json').unlink()
    (folder / 'evaluations' / 'consistency' / 'plain' / 'figures.json').unlink()
    found = write_robustness(folder)
    assert found.summary['missing'] == ['corruptions/fog_2', 'consistency/plain']
    assert found.summary['corruptions']['metrics']['mIoU']['means']['fog'] == 30
    assert found.summary['consistency'] == {}
    notes = found.summary['notes']
    assert [note.partition(':')[0] for note in notes[:3]] == [
        'quick',
        'on the first 3 images only',
        '2 evaluations are not finished',
    ]
    assert notes[2].endswith('corruptions/fog_2, consistency/plain')
    (folder / 'evaluations' / 'clean' / 'clean' / 'figures.json').unlink()
    with pytest.raises(InputError, match='the clean evaluation is not finished'):
        write_robustness(folder)


@pytest.mark.usefixtures('without_plots')
def test_what_a_detector_of_boxes_cannot_have_is_noted(tmp_path: Path) -> None:
    plan = json.loads((detector(tmp_path) / 'plan.json').read_text())
    evaluations = [key for key in plan['evaluations'] if not key.startswith('boundaries')]
    (tmp_path / 'plan.json').write_text(json.dumps(plan | dict(parts=['boundaries'], evaluations=evaluations)))
    assert write_robustness(tmp_path).summary['notes'] == ['boundaries are left out: masks are not evaluated']


def test_no_measurement(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='holds no measurement'):
        write_robustness(tmp_path)
    assert read_robustness(tmp_path) == []
    (tmp_path / 'robustness').mkdir()
    (tmp_path / 'robustness' / 'robustness.json').write_text(json.dumps(dict(main={})))
    assert len(read_robustness(tmp_path)) == 1

"""What the page says of a measurement of robustness."""

from pathlib import Path

from mmseq.runs.report.describe import describe_run
from mmseq.runs.report.robustness import describe_robustness
from mmseq.runs.robustness import write_robustness
from mmseq.runs.run import read_runs
from tests.fake_robustness import detector, segmentor
from tests.fake_runs import write_run

# The views have a table of their own.
SHORT_PARTS = ('boundaries', 'position', 'calibration')


def test_tables_and_pictures_of_a_segmentor(tmp_path: Path) -> None:
    write_robustness(segmentor(write_run(tmp_path / 'run') / 'robustness_yard'))
    (found,) = describe_run(read_runs([tmp_path / 'run'])[0])['robustness']
    assert found['title'] == 'yard: 3 images, iter_30.pth'
    tables = {one['title']: one for one in found['tables']}
    assert ['corruptions', 'mIoU, mPC', 35] in tables['Main figures']['rows']
    assert {row[0] for row in tables['Main figures']['rows']} == {'clean', 'corruptions', *SHORT_PARTS}
    assert tables['mIoU by severity of a corruption']['rows'] == [
        ['fog', 30, 10, 20],
        ['frost generated', 50, None, 50],
    ]
    assert tables['Size of images, by that of the test']['rows'][1] == [2, 55, 30]
    view = tables['Views, beside the image as it is']
    assert view['rows'][0][0] == 'flip horizontal'
    assert view['columns'][2] == dict(label='mIoU', kind='bar', most=58)
    assert len(found['pictures']) == 6
    assert found['pictures'][0]['source'].startswith('data:image/png;base64,iVBOR')


def test_figures_that_do_not_exist_stay_empty(tmp_path: Path) -> None:
    write_robustness(detector(tmp_path / 'robustness'))
    (found,) = describe_robustness(tmp_path)
    assert found['title'] == 'all images: 3 images, iter_30.pth'
    tables = {one['title']: one['rows'] for one in found['tables']}
    assert tables['Size of images, by that of the test'] == [[1, 0.4, 0.1, None]]
    assert describe_robustness(tmp_path / 'robustness') == []

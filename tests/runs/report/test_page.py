"""The page in a browser: nothing from outside, nothing that names could start, and everything works."""

import json
from pathlib import Path
from typing import Any

import pytest

from mmseq.runs.report.build import write_report
from mmseq.runs.report.page import render
from tests.fake_runs import write_csv, write_run

HOSTILE = (
    '</script><script>window.broken = 1</script>',
    '<img src="https://example.com/x.png" onerror="window.broken = 1">',
    '"><b>&lt;\u2028\'` ${window.broken = 1}',
)


@pytest.fixture(scope='module')
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report([write_run(tmp_path_factory.mktemp('one') / 'run')])


@pytest.fixture(scope='module')
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds, and another learning rate."""
    root = tmp_path_factory.mktemp('three')
    runs = [write_run(root / 'a', seed=0), write_run(root / 'b', seed=1, miou=(1.0, 2.0, 44.0))]
    runs.append(write_run(root / 'c', lr=0.01, miou=(5.0, 6.0, 7.0)))
    errors = dict(AP50=0.5, dAP=dict(Cls=0.1, FalsePos=0.2), counts=dict(Cls=3, FalsePos=9))
    for run in runs[:2]:
        (run / 'error_analysis.json').write_text(json.dumps(dict(bbox=errors)))
    return write_report(runs, root / 'report.html')


def column(page: Any, table: str, number: int) -> list[str]:
    return page.locator(f'{table} tbody tr td:nth-child({number})').all_inner_texts()


def test_a_click_on_a_heading_sorts(visit: Any, one: Path) -> None:
    page, table = visit(one), '[data-table=classes]'
    assert column(page, table, 1) == ['sky', 'road', 'ghost']
    heading = page.get_by_role('button', name='IoU').last
    heading.click()
    assert column(page, table, 1) == ['road', 'sky', 'ghost']
    assert column(page, table, 2) == ['10', '0', '–']
    heading.click()
    # what has no value stays last
    assert column(page, table, 1) == ['sky', 'road', 'ghost']
    page.locator(f'{table} th').first.get_by_role('button').click()
    assert column(page, table, 1) == ['ghost', 'road', 'sky']
    assert page.locator(f'{table} th').first.get_attribute('aria-sort') == 'ascending'


def test_sections_and_figures_of_one_run(visit: Any, one: Path) -> None:
    page = visit(one)
    assert page.title() == 'run'
    assert page.locator('nav a').all_inner_texts() == [
        'Result',
        'Curves',
        'Evaluations',
        'Classes',
        'Confusion',
        'Images',
        'Config',
        'Environment',
    ]
    assert page.locator('.tile.main .value').inner_text() == '40'
    assert 'best 50 at iteration 20' in page.locator('.tile.main').inner_text()
    assert 'no pictures' in page.locator('.notes').inner_text()
    assert page.locator('[data-panel]').count() == len(
        json.loads(page.locator('#data').inner_text())['runs'][0]['curves']
    )
    assert page.locator('#confusion svg rect.right').count() == 3


def test_values_of_a_curve_under_the_pointer(visit: Any, one: Path) -> None:
    page = visit(one)
    chart = page.locator('[data-panel=validation] svg')
    box = chart.bounding_box()
    page.mouse.move(box['x'] + box['width'] - 9, box['y'] + 60)
    tip = page.locator('.tip').inner_text().split()
    assert tip == ['iteration', '30', 'aAcc', '90', 'mIoU', '40']
    page.get_by_role('combobox').first.select_option('hours')
    page.mouse.move(box['x'] + box['width'] - 10, box['y'] + 60)
    assert '0.004167 hours' in page.locator('.tip').inner_text()


def test_a_line_can_be_hidden_and_smoothing_changes_it(visit: Any, one: Path) -> None:
    page = visit(one)
    path = page.locator('[data-panel=loss] path.line')
    before = path.get_attribute('d')
    page.locator('input[type=range]').fill('0.4')
    assert path.get_attribute('d') != before
    lines = page.locator('[data-panel=validation] path.line')
    assert lines.count() == 2
    page.locator('[data-panel=validation] .legend button').first.click()
    assert lines.count() == 1


def test_several_runs_stand_side_by_side(visit: Any, three: Path) -> None:
    page = visit(three)
    assert page.title() == 'a, b, c'
    # each run, then the group of a and b, named by its folder, and c
    assert column(page, '#summary', 1) == ['a', 'b', 'c', three.parent.name, 'c']
    seeds = page.locator('#summary .card').nth(1).inner_text()
    assert '42 ± 2.8 (40 to 44)' in seeds
    assert page.locator('[data-panel=mIoU] path.line').count() == 3
    assert page.locator('#confusion .card').count() == 3
    left = [page.locator('#confusion .card').nth(i).bounding_box() for i in range(2)]
    assert left[0]['y'] == left[1]['y']
    assert left[0]['x'] < left[1]['x']
    # a bar of each run that has the figure
    assert page.locator('#errors .bars div.lane').count() == 4
    assert '+10.0 3 of them' in page.locator('#errors').inner_text()
    assert column(page, '#config .stack > .card:first-child', 1) == ['optim_wrapper.optimizer.lr']
    assert page.locator('#environment tr.differs td:first-child').all_inner_texts() == ['seed']


def test_classes_of_several_runs_by_figure(visit: Any, three: Path) -> None:
    page, table = visit(three), '[data-table=classes]'
    assert column(page, table, 2) == ['0', '10', '–']
    page.locator(f'{table} select').select_option('label_pixels')
    assert column(page, table, 2) == ['100', '99', '98']


def test_names_cannot_leave_their_place(visit: Any, tmp_path: Path) -> None:
    folder = write_run(tmp_path / '<b onclick="x">&amp;', classes=HOSTILE)
    write_csv(folder / 'per_image.csv', [['image', 'score'], *([f'{name}.png', 1] for name in HOSTILE)])
    report = json.loads((folder / 'metrics.json').read_text())
    report['metrics'] |= {HOSTILE[0]: 5.0}
    (folder / 'metrics.json').write_text(json.dumps(report | dict(config=HOSTILE[1])))
    path = write_report([folder], tmp_path / 'report.html')
    text = path.read_text()
    # one element of each kind that the page has, and nothing of the names as markup
    assert (text.count('<script'), text.count('</script'), text.count('<img'), text.count('<b ')) == (2, 2, 0, 0)
    page = visit(path)
    assert page.evaluate('window.broken') is None
    assert page.locator('img').count() == 0
    assert page.title() == '<b onclick="x">&amp;'
    assert page.locator('[data-table=classes] td:first-child').all_text_contents() == list(HOSTILE)
    assert page.locator('.tile .label').all_text_contents()[-1] == HOSTILE[0]


def test_code_that_got_in_nevertheless_would_not_run(browser: Any, tmp_path: Path) -> None:
    """The policy is the second lock: it is tried with the first one taken off."""
    text = render(dict(title='x', subtitle='', version='', made='', runs=[], groups=[], gallery=[], notes=[]))
    injected = (
        '<script>window.broken = 1</script><img src="https://example.com/x.png"><b onclick="window.broken = 1">b</b>'
    )
    path = tmp_path / 'x.html'
    path.write_text(text.replace('<div id="page">', f'{injected}<div id="page">'))
    page, sent = browser.new_page(), []
    page.on('requestfinished', lambda request: sent.append(request.url))
    page.goto(path.as_uri())
    page.locator('b').click()
    assert page.evaluate('window.broken') is None
    assert [url for url in sent if url.startswith('http')] == []
    page.close()


@pytest.mark.parametrize('width', [390, 768, 1400])
def test_nothing_stands_out_of_the_page(visit: Any, three: Path, width: int) -> None:
    page = visit(three, width)
    assert page.evaluate('document.documentElement.scrollWidth') == width
    assert page.locator('nav').is_visible()


def test_both_schemes(visit: Any, one: Path) -> None:
    colours = [
        visit(one, scheme=scheme).evaluate(
            '[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]'
        )
        for scheme in ('light', 'dark')
    ]
    assert colours[0] == ['rgb(245, 246, 248)', 'rgb(26, 31, 38)']
    assert colours[1] == ['rgb(14, 18, 23)', 'rgb(228, 233, 239)']


def test_pictures_of_real_runs(visit: Any, small_runs: Path, tmp_path: Path) -> None:
    runs = [small_runs / name for name in ('seg', 'seg_2', 'det')]
    page = visit(write_report(runs, tmp_path / 'report.html', images=1, device='cpu'))
    pictures = page.locator('#images img')
    # worst, most different and best of the segmentors: picture, truth and two predictions; of the detector less
    assert pictures.count() == 3 * 4 + 2 * 3
    assert all(node.evaluate('image => image.complete && image.naturalWidth') > 0 for node in pictures.all())
    assert page.locator('#images .who').all_inner_texts()[:2] == ['seg', 'seg_2']
    page.locator('#images figure button').first.click()
    enlarged = page.locator('dialog img')
    assert enlarged.count() == 4
    assert enlarged.first.bounding_box()['width'] > pictures.first.bounding_box()['width']
    page.keyboard.press('Escape')
    # The browser tells the page of it after a moment.
    enlarged.first.wait_for(state='detached')
    assert enlarged.count() == 0


def test_errors_of_a_real_detector(visit: Any, small_runs: Path, tmp_path: Path) -> None:
    page = visit(write_report([small_runs / 'det'], tmp_path / 'report.html', images=0))
    assert page.locator('#errors h3').all_inner_texts()[0].startswith('Boxes: AP50')
    names = [text.split()[0] for text in page.locator('#errors .card').first.locator('.what').all_inner_texts()]
    assert names == ['Cls', 'Loc', 'Both', 'Dupe', 'Bkg', 'Miss', 'FalsePos', 'FalseNeg']
    assert 'background' in page.locator('#confusion svg text').all_text_contents()

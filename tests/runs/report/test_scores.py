"""Which images are shown."""

from pathlib import Path

import pytest

from mmseq.errors import InputError
from mmseq.runs.report.scores import ImageScore, choose, read_scores
from tests.fake_runs import write_csv


def scores(*values: float | None) -> list[ImageScore]:
    return [ImageScore(f'{i}.png', value, '') for i, value in enumerate(values)]


def test_worst_and_best_of_one_run() -> None:
    chosen = choose([scores(50, None, 0, 90, 10, 100, 60)], 2)
    assert chosen == {'Worst': [2, 4], 'Best': [5, 3]}


def test_few_images_are_shared_out() -> None:
    assert choose([scores(1, 2, 3)], 9) == {'Worst': [0, 1], 'Best': [2]}
    assert choose([scores(5)], 9) == {'Worst': [0]}
    assert choose([scores(100, 100)], 1) == {'Best': [1]}
    assert choose([scores(None)], 4) == {}


def test_several_runs_also_have_what_they_differ_in() -> None:
    runs = [scores(10, 90, 50, 40), scores(20, 95, 50, 90)]
    assert choose(runs, 2) == {'Worst': [0, 2], 'Most different': [3, 0], 'Best': [1, 3]}
    assert 'Most different' not in choose([runs[0], runs[0]], 2)


def test_rows_in_words(tmp_path: Path) -> None:
    assert read_scores(tmp_path) == []
    header = ['image', 'score', 'matches', 'missed', 'false']
    write_csv(tmp_path / 'per_image.csv', [header, ['a/x.png', 50.0, 1, 2, 0], ['y.png', '', 0, 0, 0]])
    first, second = read_scores(tmp_path)
    assert (first.name, first.score, first.words) == ('x', 50.0, '1 found, 2 missed, 0 false')
    assert second.score is None
    header = ['image', 'score', 'pixel_accuracy', 'most_confused', 'most_confused_share']
    rows = [['x', 5, 81.25, 'sky as road', 3.04], ['y', 100, 100, '', '']]
    write_csv(tmp_path / 'per_image.csv', [header, *rows])
    assert [one.words for one in read_scores(tmp_path)] == [
        '81.2 % of pixels right, 3.0 % sky as road',
        '100.0 % of pixels right',
    ]


@pytest.mark.parametrize('rows', [[['file', 'score'], ['x', 1]], [['image', 'score'], ['x', 'good']]])
def test_another_table_is_refused(tmp_path: Path, rows: list) -> None:
    write_csv(tmp_path / 'per_image.csv', rows)
    with pytest.raises(InputError, match=r'per_image.csv: expected columns image and score'):
        read_scores(tmp_path)

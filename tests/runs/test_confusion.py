"""Confusion matrices: what is read, counted and drawn."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmseq.errors import InputError
from mmseq.evaluation.per_class import confusion_table
from mmseq.files import write_csv
from mmseq.runs.confusion import (
    Confusion,
    at_least,
    choose_classes,
    confused_pairs,
    describe,
    find_confusion,
    read_confusion,
)
from mmseq.runs.confusion_plot import CELLS, NO_OBJECT, NOT_FOUND, OTHERS, arrange, kind_of, plot_confusion, short

PIXELS = Confusion(
    classes=('sky', 'road', 'tree', 'ghost'),
    counts=np.array([[90, 0, 10, 0], [0, 600, 400, 0], [5, 5, 90, 0], [0, 0, 0, 0]]),
    objects=False,
)
# 4 cats of which one is called a dog and one is lost, 2 dogs, and 3 dogs where nothing is
OBJECTS = Confusion(classes=('cat', 'dog'), counts=np.array([[2, 1, 1], [0, 2, 0], [0, 3, 0]]), objects=True)


def write(path: Path, confusion: Confusion) -> Path:
    classes = (*confusion.classes, 'background') if confusion.objects else confusion.classes
    table = confusion_table(classes, confusion.counts)
    return write_csv(path, table.columns, table.rows)


@pytest.mark.parametrize('confusion', [PIXELS, OBJECTS], ids=['pixels', 'objects'])
def test_what_an_evaluation_wrote_is_read(confusion: Confusion, tmp_path: Path) -> None:
    path = write(tmp_path / 'confusion_matrix.csv', confusion)
    assert find_confusion(tmp_path) == find_confusion(path) == path
    found = read_confusion(path)
    assert (found.classes, found.objects) == (confusion.classes, confusion.objects)
    assert found.counts.tolist() == confusion.counts.tolist()


def test_a_class_called_background_that_stands_last_is_a_class(tmp_path: Path) -> None:
    confusion = Confusion(('cat', 'background'), np.array([[3, 1], [2, 9]]), objects=False)
    found = read_confusion(write(tmp_path / 'mine.csv', confusion))
    assert (found.classes, found.objects) == (('cat', 'background'), False)


def test_shares_are_of_the_truth() -> None:
    assert PIXELS.shares[1].tolist() == [0, 0.6, 0.4, 0]
    assert np.isnan(PIXELS.shares[3]).all()
    assert PIXELS.accuracy == pytest.approx(780 / 1200)
    # found as what they are: 4 of 6, whatever was found in the background
    assert OBJECTS.accuracy == pytest.approx(4 / 6)


def test_pairs_by_share_and_by_count() -> None:
    pairs = confused_pairs(PIXELS)
    assert [(pair['truth'], pair['prediction']) for pair in pairs] == [
        *(('road', 'tree'), ('sky', 'tree'), ('tree', 'sky'), ('tree', 'road'))
    ]
    assert pairs[0] == dict(truth='road', prediction='tree', share=0.4, count=400, truth_count=1000)
    # nothing of the background
    assert confused_pairs(OBJECTS) == [dict(truth='cat', prediction='dog', share=0.25, count=1, truth_count=4)]
    few = Confusion(('a', 'b', 'c'), np.array([[0, 2, 0], [30, 70, 0], [0, 0, 9]]), objects=False)
    assert [pair['truth'] for pair in confused_pairs(few)] == ['a', 'b']
    assert [pair['truth'] for pair in confused_pairs(few, 'count')] == ['b', 'a']


def test_few_say_little() -> None:
    assert at_least(1, 1) == pytest.approx(0.2065, abs=1e-3)
    assert at_least(1, 1) < at_least(30, 40) < 30 / 40
    assert at_least(400_000, 1_000_000) == pytest.approx(0.4, abs=1e-3)


def test_classes_of_the_picture() -> None:
    pairs = confused_pairs(PIXELS)
    # the worst pair, in the order of the data set
    assert choose_classes(PIXELS, pairs, 2) == [1, 2]
    assert choose_classes(PIXELS, pairs, 9) == [0, 1, 2, 3]
    # where nothing is confused, those that occur most
    right = Confusion(PIXELS.classes, np.diag([3, 9, 1, 8]), objects=False)
    assert choose_classes(right, confused_pairs(right), 2) == [1, 3]


def test_rows_and_columns_of_the_picture() -> None:
    rows, columns, shares = arrange(PIXELS, [1, 2])
    assert (rows, columns) == (['road', 'tree'], ['road', 'tree', OTHERS])
    assert shares == pytest.approx(np.array([[0.6, 0.4, 0], [0.05, 0.9, 0.05]]))
    rows, columns, shares = arrange(OBJECTS, [0, 1])
    assert (rows, columns) == (['cat', 'dog', NO_OBJECT], ['cat', 'dog', NOT_FOUND])
    assert shares == pytest.approx(np.array([[0.5, 0.25, 0.25], [0, 1, 0], [0, 1, 0]]))
    kinds = [[kind_of(i, j, rows, columns) for j in range(3)] for i in range(3)]
    assert kinds == [
        ['right', 'taken for another', 'background'],
        ['taken for another', 'right', 'background'],
        ['background'] * 3,
    ]


def test_what_the_file_says() -> None:
    found = describe(OBJECTS, confused_pairs(OBJECTS))
    assert (found['counted'], found['not_found'], found['in_background']) == (
        *('objects', {'cat': 1, 'dog': 0}, {'cat': 0, 'dog': 3}),
    )
    assert set(describe(PIXELS, [])) == {'counted', 'accuracy', 'pairs'}


@pytest.mark.parametrize('count', [2, 20, 60])
def test_a_picture_of_many_classes(count: int, tmp_path: Path) -> None:
    # of every class 70 % is right, and 30 % the next one
    counts = 70 * np.eye(count, dtype=int) + 30 * np.roll(np.eye(count, dtype=int), 1, axis=1)
    confusion = Confusion(tuple(f'class {i}' for i in range(count)), counts, objects=False)
    out = plot_confusion(confusion, tmp_path / 'a' / 'b.png', 'title', confused_pairs(confusion)[:5], range(count))
    picture = np.asarray(Image.open(out).convert('RGB')).astype(int)
    # the numbers of pixels that are blue and vermilion, right and wrong
    blue, red = picture[..., 2] - picture[..., 0], picture[..., 0] - picture[..., 2]
    cell = (150 * dict(CELLS)[next(most for most in dict(CELLS) if count <= most)]) ** 2
    assert (blue > 60).sum() == pytest.approx(count * cell, rel=0.4)
    assert (red > 60).sum() > 0.6 * count * cell
    assert [path.name for path in out.parent.iterdir()] == ['b.png']


def test_names_are_no_formulas(tmp_path: Path) -> None:
    confusion = Confusion(('$..%$', 'two\nlines $'), np.array([[5, 1], [1, 5]]), objects=False)
    pairs = confused_pairs(confusion)
    assert plot_confusion(confusion, tmp_path / 'c.png', 'of $..%$', pairs, [0, 1]).stat().st_size > 5000


def test_nothing_confused_and_nothing_to_list(tmp_path: Path) -> None:
    right = Confusion(('a', 'b'), np.diag([3, 9]), objects=False)
    assert plot_confusion(right, tmp_path / 'c.png', 'title', [], [0, 1]).stat().st_size > 5000


def test_short_counts() -> None:
    assert [short(n) for n in (0, 940, 12345, 4_560_000, 7_000_000_000)] == ['0', '940', '12.3k', '4.56M', '7G']


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('', 'no confusion matrix'),
        ('a,b\n', 'no confusion matrix'),
        ('truth,a,b\na,1,2\n', 'no confusion matrix'),
        ('truth,a,b\na,1,2\nc,3,4\n', 'no confusion matrix'),
        ('truth,a,b\na,1,-2\nb,3,4\n', 'no confusion matrix'),
        ('truth,a,b\na,1,2\nb,3\n', 'expected counts'),
        ('truth,a,b\na,1,x\nb,3,4\n', 'expected counts'),
        ('truth,a,b\na,0,0\nb,0,0\n', 'counts nothing'),
    ],
)
def test_files_that_are_none(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / 'table.csv'
    path.write_text(text)
    with pytest.raises(InputError, match=f'table.csv: .*{message}'):
        read_confusion(path)

"""Kinds of errors against cases computed by hand, and AP50 against pycocotools."""

import numpy as np
import pytest

from mmseq.evaluation.tide import FALSE_KINDS, analyse, average_precision, classify_errors
from tests.evaluation.by_hand import Image, together

CAT, DOG = 0, 1


def image(truth: list[int], *detections: tuple[float, int, int, list[float]]) -> Image:
    """Detections are (score, class, matched, overlaps with every object)."""
    scores, classes, matched, ious = zip(*detections) if detections else ((), (), (), ())
    return Image(truth, list(scores), list(classes), list(matched), list(ious))


def kinds(found: Image) -> list[str]:
    return ['' if kind < 0 else FALSE_KINDS[kind] for kind in classify_errors(together(found)).kinds]


def test_every_kind_by_its_definition() -> None:
    found = image(
        [CAT, DOG],
        (0.9, CAT, 0, [0.8, 0.0]),
        (0.8, CAT, -1, [0.7, 0.0]),
        (0.7, CAT, -1, [0.4, 0.0]),
        (0.6, CAT, -1, [0.05, 0.6]),
        (0.5, CAT, -1, [0.05, 0.3]),
        (0.4, CAT, -1, [0.05, 0.1]),
    )
    assert kinds(found) == ['', 'Dupe', 'Loc', 'Cls', 'Both', 'Bkg']


@pytest.mark.parametrize(
    ('overlaps', 'kind'),
    [
        # the right class at the wrong place comes before the wrong class at the right place
        ([0.3, 0.9], 'Loc'),
        ([0.1, 0.0], 'Loc'),
        # which comes before finding an object twice
        ([0.6, 0.9], 'Cls'),
        ([0.09, 0.49], 'Both'),
        ([0.0, 0.0], 'Bkg'),
    ],
)
def test_the_order_and_the_limits(overlaps: list[float], kind: str) -> None:
    found = image([CAT, DOG], (0.9, CAT, 0, [0.9, 0.0]), (0.8, CAT, -1, overlaps))
    assert kinds(found) == ['', kind]


def test_without_objects_all_is_background() -> None:
    assert kinds(image([], (0.9, CAT, -1, []), (0.5, DOG, -1, []))) == ['Bkg', 'Bkg']


def test_the_best_of_several_is_mended_and_no_object_twice() -> None:
    found = image(
        [CAT, DOG, DOG],
        (0.9, DOG, 1, [0.0, 0.9, 0.0]),
        # both would find the cat: the first with another class, the second at another place
        (0.8, DOG, -1, [0.7, 0.0, 0.0]),
        (0.7, CAT, -1, [0.3, 0.0, 0.0]),
        # that dog is found already
        (0.6, CAT, -1, [0.0, 0.8, 0.0]),
    )
    errors = classify_errors(together(found))
    assert kinds(found) == ['', 'Cls', 'Loc', 'Cls']
    assert errors.fixed_classes.tolist() == [-1, CAT, -1, -1]
    assert errors.missed.tolist() == [False, False, True]


def test_gains_by_hand() -> None:
    """One class, four objects: a match, a Loc, a Dupe, a Bkg, and two objects that nothing is near to."""
    found = image(
        [CAT, CAT, CAT, CAT],
        (0.9, CAT, -1, [0.0, 0.0, 0.0, 0.0]),
        (0.8, CAT, 0, [0.9, 0.0, 0.0, 0.0]),
        (0.7, CAT, -1, [0.8, 0.0, 0.0, 0.0]),
        (0.6, CAT, -1, [0.0, 0.4, 0.0, 0.0]),
    )
    result = analyse(together(found), 1)
    # recall 0.25 at precision 1/2; recalls 0, 0.01, ..., 0.25 are 26 of 101
    ap = 26 / 101 / 2
    assert result['AP50'] == pytest.approx(ap)
    expected = dict.fromkeys(('Cls', 'Both', 'Dupe'), ap)
    # two matches, at ranks 2 and 4: precision 1/2 up to recall 0.5
    expected |= dict(Loc=51 / 101 / 2, Bkg=26 / 101, FalsePos=26 / 101)
    # 1 of 2 objects, 1 of 1 object
    expected |= dict(Miss=51 / 101 / 2, FalseNeg=101 / 101 / 2)
    assert result['dAP'] == {kind: pytest.approx(value - ap, abs=1e-12) for kind, value in expected.items()}
    assert result['counts'] == dict(Cls=0, Loc=1, Both=0, Dupe=1, Bkg=1, Miss=2, FalsePos=3, FalseNeg=3)
    assert (result['objects'], result['detections']) == (4, 4)


def test_another_class_gains_and_the_own_one_too() -> None:
    """A dog called cat costs the dogs their only match and the cats their precision."""
    found = image([CAT, DOG], (0.9, CAT, -1, [0.0, 0.9]), (0.8, CAT, 0, [0.9, 0.0]))
    result = analyse(together(found), 2)
    assert result['AP50'] == pytest.approx((1 / 2 + 0) / 2)
    assert result['dAP']['Cls'] == pytest.approx(1 - 1 / 4)
    assert result['dAP']['Miss'] == 0
    # the dogs have nothing to find any more, and nothing was found
    assert result['dAP']['FalseNeg'] == pytest.approx(1 / 2 - 1 / 4)


def test_scores_count_over_all_images() -> None:
    right = image([CAT], (0.5, CAT, 0, [0.9]))
    wrong = image([], (0.6, CAT, -1, []))
    assert analyse(together(right, wrong), 1)['AP50'] == pytest.approx(1 / 2)
    assert analyse(together(wrong, right), 1)['dAP']['Bkg'] == pytest.approx(1 / 2)


def test_without_any_object_there_is_no_figure() -> None:
    result = analyse(together(image([], (0.6, CAT, -1, []))), 3)
    assert result['AP50'] is None
    assert set(result['dAP'].values()) == {None}
    assert result['counts']['Bkg'] == 1


def test_an_image_without_detections_is_missed() -> None:
    result = analyse(together(image([CAT, DOG])), 2)
    assert result['AP50'] == 0
    assert result['counts']['Miss'] == result['counts']['FalseNeg'] == 2


def test_interpolated_precision() -> None:
    scores, right = np.array([0.9, 0.8, 0.7]), np.array([True, False, True])
    # precision 1 up to recall 1/2, 2/3 up to 1
    assert average_precision(scores, right, 2) == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert average_precision(scores[:0], right[:0], 2) == 0

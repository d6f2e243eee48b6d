"""What is read from pycocotools, and counted from it, against cases laid out by hand."""

import contextlib
import io
from types import SimpleNamespace

import numpy as np
import pytest

from mmseq.evaluation.matching import best_score, f1_score, object_confusion, read_matches
from mmseq.evaluation.tide import analyse
from tests.evaluation.by_hand import Image, together

# category ids in no order, one image without anything, a crowd of cats at the left
CATEGORIES = [{'id': 7, 'name': 'cat'}, {'id': 3, 'name': 'dog'}]
DOG, CAT = 0, 1
TRUTH = [(7, [0, 0, 10, 10], 0), (3, [20, 0, 10, 10], 0), (7, [0, 20, 40, 20], 1), (7, [60, 0, 10, 10], 0)]
DETECTIONS = [
    # below the cat's own detection in score, above it in the file
    (7, [0, 0, 10, 9], 0.6),
    (7, [0, 0, 10, 10], 0.9),
    # a dog taken for a cat
    (7, [20, 0, 10, 10], 0.8),
    # in the crowd
    (7, [5, 25, 5, 5], 0.7),
    # nowhere
    (3, [80, 80, 5, 5], 0.5),
]


def evaluated(kind: str = 'bbox', **params: object) -> SimpleNamespace:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        images = [{'id': i, 'width': 100, 'height': 100, 'file_name': f'{i}.jpg'} for i in (4, 5)]
        annotations = [
            dict(id=i + 1, image_id=4, category_id=k, bbox=box, area=box[2] * box[3], iscrowd=crowd)
            | dict(segmentation=polygon(box))
            for i, (k, box, crowd) in enumerate(TRUTH)
        ]
        coco.dataset = dict(images=images, annotations=annotations, categories=CATEGORIES)
        coco.createIndex()
        found = [dict(image_id=4, category_id=k, bbox=box, score=score) for k, box, score in DETECTIONS]
        if kind == 'segm':
            found = [
                dict(one, segmentation=coco.annToRLE(dict(one, segmentation=polygon(one['bbox'])))) for one in found
            ]
            for one in found:
                del one['bbox']
        evaluator = COCOeval(coco, coco.loadRes(found), kind)
        for name, value in params.items():
            setattr(evaluator.params, name, value)
        evaluator.evaluate()
        evaluator.accumulate()
        if not params:
            evaluator.summarize()
    return evaluator


def polygon(box: list[float]) -> list[list[float]]:
    x, y, w, h = box
    return [[x, y, x + w, y, x + w, y + h, x, y + h]]


@pytest.mark.parametrize('kind', ['bbox', 'segm'])
def test_matches_are_those_of_pycocotools(kind: str) -> None:
    evaluator = evaluated(kind)
    found = read_matches(evaluator)
    # nothing is in the second image
    assert (found.image_ids, type(found.image_ids[0])) == ([4, 5], int)
    assert set(found.images.tolist()) == set(found.truth_images.tolist()) == {0}
    assert found.scores.tolist() == [0.9, 0.8, 0.6, 0.5]
    assert found.classes.tolist() == [CAT, CAT, CAT, DOG]
    # the dogs' objects come first, the crowd is left out
    assert found.truth_classes.tolist() == [DOG, CAT, CAT]
    assert found.matched.tolist() == [1, -1, -1, -1]
    assert found.found().tolist() == [False, True, False]
    assert found.pairs.tolist() == [[0, 1], [1, 0], [2, 1]]
    assert found.ious == pytest.approx([1, 1, 0.9], abs=0.02)

    result = analyse(found, 2)
    assert result['AP50'] == pytest.approx(evaluator.stats[1])
    assert result['counts'] == dict(Cls=1, Loc=0, Both=0, Dupe=1, Bkg=1, Miss=1, FalsePos=3, FalseNeg=2)


def test_masks_of_the_truth_are_made_once() -> None:
    evaluator = evaluated('segm')
    truth = evaluator.cocoGt
    for annotation in truth.anns.values():
        # As the file has them, and ultrafast-pycocotools leaves them.
        annotation['segmentation'] = polygon(annotation['bbox'])
    before = read_matches(evaluator)
    masks = [truth.anns[i]['segmentation'] for i in (1, 2, 4)]
    assert all(isinstance(mask['counts'], bytes) for mask in masks)
    assert read_matches(evaluator).ious.tolist() == before.ious.tolist()
    assert [truth.anns[i]['segmentation'] is mask for i, mask in zip((1, 2, 4), masks)] == [True] * 3


def test_a_limit_of_detections_is_pycocotools_own() -> None:
    assert read_matches(evaluated(maxDets=[1])).scores.tolist() == [0.9, 0.5]


def test_an_overlap_that_was_not_evaluated() -> None:
    assert read_matches(evaluated(iouThrs=np.array([0.75]))) is None


def test_confusions_by_hand() -> None:
    found = read_matches(evaluated())
    assert object_confusion(found, 2).tolist() == [
        # a dog taken for a cat
        [0, 1, 0],
        # a cat found, a cat lost
        [0, 1, 1],
        # a cat found twice, a dog where nothing is
        [1, 1, 0],
    ]
    # the second detection of the cat and the dog in the background are gone
    assert object_confusion(found.above(0.7), 2).tolist() == [[0, 1, 0], [0, 1, 1], [0, 0, 0]]


def test_an_object_is_confused_once_and_by_its_best_score() -> None:
    two = together(Image([0], [0.9, 0.8], [1, 2], [-1, -1], [[0.6], [0.9]]))
    assert object_confusion(two, 3).tolist() == [[0, 1, 0, 0], [0] * 4, [0] * 4, [0, 0, 1, 0]]


def test_the_largest_overlap_that_is_left() -> None:
    # the first takes the object that the second overlaps more; the third overlaps one that is matched
    one = Image([0, 0, 1], [0.9, 0.8, 0.7, 0.6], [2, 2, 2, 1], [-1, -1, -1, 2], [[0.6, 0], [0.9, 0.5], [0, 0], [0, 0]])
    one.ious = [[*row, last] for row, last in zip(one.ious, (0, 0, 0.8, 0.9))]
    assert object_confusion(together(Image([1]), one), 3).tolist() == [
        [0, 0, 2, 0],
        [0, 1, 0, 1],
        [0, 0, 0, 0],
        [0, 0, 1, 0],
    ]


def scored(scores: list[float], matched: list[int], objects: int) -> Image:
    count = len(scores)
    return Image([0] * objects, scores, [0] * count, matched, [[0] * objects] * count)


def test_the_best_score_over_all_images() -> None:
    # F1 of the best 1, 2, 3, 4 detections of both: 2/4, 2/5, 4/6, 4/7
    images = [scored([0.9, 0.5], [0, -1], 1), scored([0.8, 0.7], [-1, 0], 2)]
    assert best_score(together(*images)) == 0.7
    # equal scores stay together: 2/3 for the first, 4/8 for all, not 4/4 for the first two
    one = scored([0.9, 0.5, 0.5, 0.5, 0.5, 0.5], [0, 1, -1, -1, -1, -1], 2)
    assert best_score(together(one)) == 0.9
    assert best_score(together(scored([0.9], [-1], 1))) == 0.3
    assert best_score(together(scored([], [], 1))) == 0.3


def test_f1() -> None:
    assert f1_score(2, 1, 3) == pytest.approx(100 * 2 * 2 / (4 + 1 + 3))
    assert f1_score(0, 0, 1) == 0
    assert f1_score(0, 0, 0) is None

"""The stand-in for panopticapi: ids and colours, and panoptic quality against a case counted by hand."""

import copy
import pickle
from importlib.util import find_spec

import numpy as np
import pytest

from mmseq.compat.import_hooks import STAND_IN
from mmseq.compat.panoptic_api.quality import PQStat, id2rgb, rgb2id


def test_ids_and_colours_are_each_others_inverse():
    ids = np.array([[0, 255, 256], [65535, 65536, 256**3 - 1]])
    assert id2rgb(ids).tolist()[0] == [[0, 0, 0], [255, 0, 0], [0, 1, 0]]
    assert id2rgb(ids).dtype == np.uint8
    assert np.array_equal(rgb2id(id2rgb(ids)), ids)


@pytest.fixture
def counted():
    """Category 1: two matches of IoU 0.8 and 0.6, one false alarm, two missed; category 2: missed once; 3: never."""
    stat = PQStat()
    stat[1].tp, stat[1].iou, stat[1].fp, stat[1].fn = 2, 1.4, 1, 2
    stat[2].fn = 1
    return stat


CATEGORIES = {1: {'isthing': 1}, 2: {'isthing': 0}, 3: {'isthing': 0}}


def test_quality_is_the_papers(counted):
    average, each = counted.pq_average(CATEGORIES, None)
    assert each[1] == pytest.approx({'pq': 1.4 / 3.5, 'sq': 0.7, 'rq': 2 / 3.5})
    assert each[3] == {'pq': 0.0, 'sq': 0.0, 'rq': 0.0}
    # A category that nobody saw is left out of the average; one that was always missed is not.
    assert average == pytest.approx({'pq': 0.2, 'sq': 0.35, 'rq': 1 / 3.5, 'n': 2})
    assert counted.pq_average(CATEGORIES, True)[0]['n'] == 1
    assert counted.pq_average(CATEGORIES, False)[0] == {'pq': 0.0, 'sq': 0.0, 'rq': 0.0, 'n': 1}


def test_counts_add_up_over_processes(counted):
    other = pickle.loads(pickle.dumps(counted))
    other[3].fp = 4
    total = copy.deepcopy(counted)
    total += other
    assert (total[1].tp, total[1].fp, total[1].fn, total[3].fp) == (4, 2, 4, 4)
    assert total[1].iou == pytest.approx(2.8)


def test_mmdet_finds_it_and_a_real_package_would_win():
    if find_spec('panopticapi').origin != STAND_IN:
        pytest.skip('the real panopticapi is installed')
    from mmdet.evaluation.metrics import coco_panoptic_metric

    assert coco_panoptic_metric.PQStat is PQStat

import numpy as np

from mmseq.pictures.browse import Counts, Objects, Sample

PICTURE = np.zeros((4, 6, 3), np.uint8)


def objects(*labels):
    return Objects(np.array(labels, np.int64), np.zeros((len(labels), 4), np.float32), None)


def test_counts_of_samples_with_and_without_instances():
    counts = Counts()
    counts.add(Sample('two', PICTURE, objects(0, 0, 2), objects(1), None))
    counts.add(Sample('none', PICTURE, objects(), None, None))
    counts.add(Sample('areas', PICTURE, None, None, np.array([[0, 2], [2, 255]])))
    assert counts.instances == {0: 2, 2: 1}
    assert counts.images == {0: 2, 2: 2, 255: 1}
    assert counts.pixels == {0: 1, 2: 2, 255: 1}
    assert counts.ignored == 1

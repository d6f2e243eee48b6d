"""The sheet of own data shows each image with what is labelled on it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmseq.datasets.own.importing import import_data
from mmseq.pictures.own_data import draw_sheet, samples
from tests.datasets.own import exports
from tests.datasets.own.exports import Truth


@pytest.fixture
def truths(tmp_path: Path) -> list[Truth]:
    return exports.made(tmp_path / 'truth')


def test_objects_of_a_card(truths: list[Truth], tmp_path: Path) -> None:
    exports.cvat(tmp_path / 'source', truths)
    card = import_data(tmp_path / 'source', tmp_path / 'out')
    found = {sample.name: sample for part in card.parts.values() for sample in (read() for read in samples(card, part))}
    assert len(found) == sum(bool(truth.things) for truth in truths)
    for truth in truths:
        if truth.things:
            sample = found[truth.image.stem]
            assert [card.classes[k] for k in sample.objects.labels] == [thing.name for thing in truth.things]
            assert np.array_equal(sample.objects.masks[0], truth.mask(truth.things[0]))
            assert np.abs(sample.objects.boxes[0] - truth.things[0].box).max() < 0.02
            assert sample.picture.shape == (truth.height, truth.width, 3)


def test_label_maps_of_a_card(truths: list[Truth], tmp_path: Path) -> None:
    exports.maps(tmp_path / 'source', truths, Image.fromarray)
    card = import_data(tmp_path / 'source', tmp_path / 'out')
    found = {sample.name: sample for part in card.parts.values() for sample in (read() for read in samples(card, part))}
    for truth in truths:
        assert np.array_equal(found[truth.image.stem].labels, exports.label_map(truth, ['ant', 'bee', 'cow']))


@pytest.mark.parametrize('write', [exports.yolo, exports.labelme])
def test_the_sheet_has_as_many_pictures_as_asked(write, truths: list[Truth], tmp_path: Path) -> None:
    write(tmp_path / 'source', truths)
    card = import_data(tmp_path / 'source', tmp_path / 'out')
    few, all_of_them = (draw_sheet(card, tmp_path / f'{count}.png', count) for count in (2, 12))
    with Image.open(few) as one, Image.open(all_of_them) as other:
        assert one.width < other.width

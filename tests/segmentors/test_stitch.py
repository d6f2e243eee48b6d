"""Labels from windows: those of the whole picture's logits, whatever the sizes, in memory that hardly grows."""

import itertools

import pytest
import torch
from torch.nn import functional as F

from mmseq.segmentors.stitch import Frame, starts, stitch_labels

CLASSES = 5


def logits_of_window(y, x, height, width):
    """Logits of a third of the window's resolution, a function of its place alone."""
    generator = torch.Generator().manual_seed(1000 * y + x)
    return torch.randn(CLASSES, -(-height // 3), -(-width // 3), generator=generator, dtype=torch.float64)


def whole_picture(frame, crop, stride, align):
    """The definition: enlarge each window, add up, divide, cut the padding off, resize, arg-max."""
    total = torch.zeros(1, CLASSES, frame.height, frame.width, dtype=torch.float64)
    count = torch.zeros(frame.height, frame.width)
    for y, x in itertools.product(starts(frame.height, crop[0], stride[0]), starts(frame.width, crop[1], stride[1])):
        size = min(crop[0], frame.height), min(crop[1], frame.width)
        own = F.interpolate(logits_of_window(y, x, *size)[None], size, mode='bilinear', align_corners=align)
        total[:, :, y : y + size[0], x : x + size[1]] += own
        count[y : y + size[0], x : x + size[1]] += 1
    assert count.min() >= 1
    mean = (total / count)[:, :, slice(*frame.rows), slice(*frame.cols)]
    return F.interpolate(mean, frame.size or mean.shape[2:], mode='bilinear', align_corners=align)[0].argmax(0)


@pytest.mark.parametrize('align', [False, True])
@pytest.mark.parametrize(
    'frame',
    [
        Frame(64, 64, (0, 64), (0, 64)),
        Frame(20, 130, (0, 20), (0, 130)),
        Frame(97, 75, (0, 97), (0, 75)),
        Frame(96, 160, (0, 91), (0, 147), (200, 333)),
        Frame(96, 128, (3, 90), (5, 128), (50, 41)),
        Frame(70, 70, (0, 70), (0, 70), (7, 9)),
    ],
    ids=str,
)
@pytest.mark.parametrize('crop, stride', [((32, 32), (21, 21)), ((40, 24), (13, 24)), ((32, 32), (5, 30))])
def test_labels_are_those_of_the_definition(frame, crop, stride, align, monkeypatch):
    # Small tiles, so that every seam between them is crossed.
    monkeypatch.setattr('mmseq.segmentors.stitch.TILE', 1000)
    found = stitch_labels(logits_of_window, frame, crop, stride, align)
    assert torch.equal(found.long(), whole_picture(frame, crop, stride, align))
    assert found.dtype == torch.uint8


def test_one_class_is_a_threshold():
    probability = torch.tensor([[[0.2, 0.4], [0.7, 0.9]]], dtype=torch.float64)
    frame = Frame(2, 2, (0, 2), (0, 2))
    found = stitch_labels(lambda *_: probability.logit(), frame, (2, 2), (1, 1), False, threshold=0.5)
    assert found.tolist() == [[0, 0], [1, 1]]


def test_many_classes_need_two_bytes():
    logits = torch.zeros(300, 4, 4)
    logits[299] = 1
    found = stitch_labels(lambda *_: logits, Frame(8, 8, (0, 8), (0, 8)), (8, 8), (8, 8), False)
    assert found.dtype == torch.int16
    assert (found == 299).all()


def test_what_no_later_window_overlaps_is_dropped():
    """Floats that are alive when a window is asked for: a row of overlaps, and not the windows of the picture."""
    import weakref

    alive: list[weakref.ref] = []
    most = 0

    def logits(y, x, height, width):
        nonlocal most
        storages = {t.untyped_storage().data_ptr(): t.numel() for ref in alive if (t := ref()) is not None}
        most = max(most, sum(storages.values()))
        made = logits_of_window(y, x, height, width)
        alive.append(weakref.ref(made))
        return made

    stitch_labels(logits, Frame(320, 320, (0, 320), (0, 320)), (32, 32), (24, 24), False)
    # Of all windows' full logits two at most are alive, this one and the one to its left.
    assert 0 < most <= 2 * CLASSES * 11 * 11
    assert len(alive) == 13 * 13


@pytest.mark.parametrize(
    'classes, kind', [(256, torch.uint8), (257, torch.int16), (32_768, torch.int16), (32_769, torch.int32)]
)
def test_labels_hold_every_class(classes, kind):
    def logits(y, x, height, width):
        found = torch.zeros(classes, 1, 1)
        found[-1] = 1
        return found

    labels = stitch_labels(logits, Frame(2, 2, (0, 2), (0, 2)), (2, 2), (2, 2), False)
    assert labels.dtype == kind
    assert labels.max() == classes - 1

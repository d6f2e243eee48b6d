"""Top-1, top-5 and corruption errors are those of a model whose answers are known."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from mmseq.classify.accuracy import ALEXNET, Way, accuracy, corruptions, sweep, top
from mmseq.classify.classes import Classes
from mmseq.classify.labelled import read_folders
from mmseq.errors import InputError

WAY = Way(torch.device('cpu'), batch=4, threads=2)
CLASSES = Classes(('dark', 'grey', 'light'), {'dark': 0, 'grey': 1, 'light': 2})


class Brightness(nn.Module):
    """Logits by the distance of an image's mean to those of dark, grey and light ones; notes the sizes."""

    def __init__(self):
        super().__init__()
        self.sizes = set()

    def forward(self, images):
        self.sizes.add(tuple(images.shape[2:]))
        return -((images.mean((1, 2, 3))[:, None] - torch.tensor([-1.8, 0.1, 2.2])) ** 2)


def painted(folder, values):
    for name, levels in values.items():
        (folder / name).mkdir(parents=True)
        for i, level in enumerate(levels):
            Image.fromarray(np.full((40, 50, 3), level, np.uint8)).save(folder / name / f'{i}.png')
    return folder


def test_percents():
    scores = torch.tensor(
        [[9.0, 1, 2, 3, 4, 5, 0], [9, 1, 2, 3, 4, 5, 0], [9, 1, 2, 3, 4, 5, 0], [0, 9, 0, 0, 0, 0, 0]]
    )
    # Of the second the fifth is right, of the third the sixth.
    assert accuracy(scores, [0, 2, 1, 1]) == dict(top1=50.0, top5=75.0)
    # Two classes have no five.
    assert accuracy(scores[:, :2], [1, 0, 0, 1]) == dict(top1=75.0, top5=100.0)


def test_likeliest_classes():
    (row,) = top(torch.tensor([[0.0, 2.0, 1.0]]), CLASSES)
    assert [one['name'] for one in row] == ['grey', 'light', 'dark']
    assert sum(one['probability'] for one in row) == pytest.approx(1)


def test_a_sweep_has_a_row_per_size(tmp_path):
    # One of the dark ones is light.
    painted(tmp_path, dict(dark=(0, 10, 250), grey=(128, 120), light=(255,)))
    model = Brightness()
    rows = sweep(model, read_folders(tmp_path, CLASSES), (64, 48), 0.875, WAY)
    assert [(row['image_size'], row['images']) for row in rows] == [(64, 6), (48, 6)]
    assert [row['top1'] for row in rows] == pytest.approx([100 * 5 / 6] * 2)
    assert model.sizes == {(64, 64), (48, 48)}


def test_corruption_errors_as_the_sequencers_authors_have_them(tmp_path):
    """Of the n-th corruption n images of ten are wrong at severity 1, all at severity 5."""
    for n, name in enumerate(('speckle_noise', 'fog', 'snow')):
        for severity in range(1, 6):
            wrong = n if severity == 1 else 10 if severity == 5 else 0
            painted(tmp_path / name / str(severity), dict(dark=[255] * wrong + [0] * (10 - wrong)))
    found = corruptions(Brightness(), tmp_path, CLASSES, WAY, size=32)
    assert found['corruptions']['snow']['errors'] == pytest.approx([20, 0, 0, 0, 100])
    assert found['corruptions']['snow']['ce'] == pytest.approx(24 / 0.866816)
    assert found['corruptions']['speckle_noise'] == dict(errors=[0, 0, 0, 0, 100], mean=20.0, ce=None)
    assert found['mce'] is None
    assert len(found['absent']) == 13
    assert 'fog' not in found['absent']


def test_the_mean_is_over_the_fifteen(tmp_path):
    for name in (*ALEXNET, 'saturate'):
        for severity in range(1, 6):
            # saturate is all wrong, and does not count.
            levels = [255] if name == 'saturate' or (name, severity) == ('fog', 2) else [0]
            painted(tmp_path / name / str(severity), dict(dark=levels))
    found = corruptions(Brightness(), tmp_path, CLASSES, WAY, size=32)
    assert found['absent'] == []
    assert found['mean_error'] == pytest.approx(20 / 15)
    assert found['mce'] == pytest.approx(20 / 0.819324 / 15)


def test_an_absent_severity_is_named(tmp_path):
    painted(tmp_path / 'fog' / '1', dict(dark=[0]))
    with pytest.raises(InputError, match='fog/2: no such folder; expected severities 1 to 5'):
        corruptions(Brightness(), tmp_path, CLASSES, WAY, size=32)

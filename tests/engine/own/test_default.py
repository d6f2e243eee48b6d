"""The config that is chosen for own data: by task, device and number of images, and with its reason."""

from pathlib import Path

import pytest
import torch

from mmseq.config import config_file
from mmseq.datasets.own.card import read_card
from mmseq.engine.own import default
from mmseq.engine.own.changes import OwnData
from mmseq.errors import InputError

NANO = dict(
    boxes='mmseq::faster_rcnn_seq2d_nano_shapes',
    instances='mmseq::mask_rcnn_seq2d_nano_shapes',
    semantic='mmseq::upernet_seq2d_nano_shapes',
)


@pytest.mark.parametrize('task', NANO)
def test_a_cpu_gets_the_nano_size(task: str, cards: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    monkeypatch.setattr(default, 'MANY_IMAGES', 1)
    own = OwnData(str(cards[task]))
    assert own.config(None) == NANO[task]
    notes = own.notes(NANO[task])
    assert notes[1] == 'chosen: there is no GPU here, and nano is the size for a CPU; name another config to take it'


@pytest.mark.parametrize('task', NANO)
@pytest.mark.parametrize(('many', 'size', 'said'), [(7, 's', 'below 7 images'), (6, 'm', 'from 6 images')])
def test_with_a_gpu_the_number_of_images_chooses_the_size(
    task: str, many: int, size: str, said: str, cards: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(default, 'MANY_IMAGES', many)
    choice = default.choose_config(read_card(cards[task]))
    assert f'_seq2d_{size}_' in choice.config
    assert choice.reason == f'there is a GPU, and size {size} is the one {said}; the data have 6'
    assert Path(config_file(choice.config)).is_file()


def test_a_config_that_is_named_is_not_chosen(cards: dict[str, Path]) -> None:
    own = OwnData(str(cards['boxes']))
    assert own.config('mine.py') == 'mine.py'
    assert own.notes('mine.py') == [f'mine.py on the data of {cards["boxes"]}']
    with pytest.raises(InputError, match='no config: give one'):
        OwnData().config(None)

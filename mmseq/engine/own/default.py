"""The config for own data where none is named, by their task, their number and the device."""

from dataclasses import dataclass

import torch

from mmseq.datasets.checks.coco_file import read_json
from mmseq.datasets.own.card import Card, Task
from mmseq.engine.own.image_size import image_files
from mmseq.errors import InputError

HEADS: dict[Task, str] = dict(boxes='faster_rcnn', instances='mask_rcnn', semantic='upernet')
DATASETS: dict[Task, str] = dict(boxes='coco', instances='coco', semantic='ade20k')
# So many images teach a larger model something more; the authors' top-1 on ImageNet is 82.8 for M and 82.3 for S.
MANY_IMAGES = 5000


@dataclass(frozen=True)
class Choice:
    """A config, and why this one: a clause for the log."""

    config: str
    reason: str


def choose_config(card: Card) -> Choice:
    """A config for the data of a card.

    Without a GPU it is Sequencer2D-nano, whatever the number of images: a larger one takes days there. With one it is
    Sequencer2D-S from ImageNet weights, and from ``MANY_IMAGES`` on Sequencer2D-M. Few images change the recipe, not
    the model: pretrained weights are worth the more, the fewer there are.
    """
    head = HEADS[card.task]
    if not torch.cuda.is_available():
        return Choice(f'mmseq::{head}_seq2d_nano_shapes', 'there is no GPU here, and nano is the size for a CPU')
    images = count_images(card)
    size, bound = ('m', 'from') if images >= MANY_IMAGES else ('s', 'below')
    reason = f'there is a GPU, and size {size} is the one {bound} {MANY_IMAGES} images; the data have {images}'
    return Choice(f'mmseq::{head}_seq2d_{size}_{DATASETS[card.task]}', reason)


def count_images(card: Card) -> int:
    """How many images a card has for training; the check of the data finds out which are sound."""
    if card.task == 'semantic':
        return len(image_files(card))
    images = read_json(str(card.train.labels)).get('images')
    if not isinstance(images, list):
        raise InputError(f'{card.train.labels}: has no list of images; import the data again')
    return len(images)

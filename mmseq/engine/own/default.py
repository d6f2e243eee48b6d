"""The config for own data where none is named."""

import torch

from mmseq.datasets.own.card import Task

HEADS: dict[Task, str] = dict(boxes='faster_rcnn', instances='mask_rcnn', semantic='upernet')


def default_config(task: Task) -> str:
    """A config for a task: Sequencer2D-S from ImageNet weights with a GPU, Sequencer2D-nano from none without.

    A small model from random weights learns a few hundred images on a processor in an hour or less; the larger one
    needs a GPU whatever their number, and with few of them its recipe changes, not the model.
    """
    if not torch.cuda.is_available():
        return f'mmseq::{HEADS[task]}_seq2d_nano_shapes'
    return f'mmseq::{HEADS[task]}_seq2d_s_{"ade20k" if task == "semantic" else "coco"}'

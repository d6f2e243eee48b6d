"""The task of a config, and whether a card's data serve it."""

import re
from pathlib import Path

from mmengine.config import Config

from mmseq.config import qualified
from mmseq.datasets.nesting import loader_datasets
from mmseq.datasets.own.card import Card, Task
from mmseq.errors import InputError
from mmseq.nested import walk

LABELS = dict(boxes='boxes', instances='boxes with masks', semantic='label maps')
# Whose configs of boxes come in nano, and what their full size is called.
FULL_SIZES = dict(seq2d='s', shiftvit='t', vil='t', vsequencer='')


def task_of(cfg: Config, name: str) -> Task:
    """What a config is trained on.

    Raises:
        InputError: no data card has what it needs, as panoptic segments.
    """
    if 'model' not in cfg or 'train_dataloader' not in cfg:
        raise InputError(f'config {name}: --data needs a config that trains a model; it has no model or no data')
    if str(cfg.model.get('type')).endswith('ImageClassifier'):
        raise InputError(
            f'config {name}: is a classifier, and a data card has no classes of whole images; mmseq pretrain '
            'trains it on class folders'
        )
    heads = list(walk(cfg.model))
    if any(head.get('num_stuff_classes') for head in heads) or 'Panoptic' in str(cfg.train_dataloader.dataset):
        raise InputError(
            f'config {name}: is panoptic, and a data card has no panoptic segments; take a config for instances '
            '(mask2former_*_coco) or for label maps (mask2former_*_ade20k)'
        )
    if cfg.get('default_scope') == 'mmseg' or 'decode_head' in cfg.model:
        return 'semantic'
    steps = [step for _, dataset in loader_datasets(cfg.train_dataloader, '') for step in walk(dataset.get('pipeline'))]
    if any(step.get('with_seg') for step in steps):
        raise InputError(
            f'config {name}: needs label maps beside boxes (with_seg), which no data card has; take another one'
        )
    return 'instances' if any(step.get('with_mask') for step in steps) else 'boxes'


def check_task(cfg: Config, card: Card, path: str) -> None:
    """The labels of a card are those that a config trains on; masks may be left out.

    Raises:
        InputError: they are not; it names a config for the card's labels.
    """
    name = Path(cfg.filename).stem
    wanted = task_of(cfg, name)
    if wanted == card.task or (wanted, card.task) == ('boxes', 'instances'):
        return
    if (wanted, card.task) == ('instances', 'boxes'):
        other = f'take mmseq::{box_config(name)}, which detects boxes'
    else:
        other = 'leave CONFIG out for one that does'
    raise InputError(
        f'config {name}: is trained on {LABELS[wanted]}, and the data of {path} are {LABELS[card.task]}; {other}'
    )


def box_config(name: str) -> str:
    """Our config of boxes that is nearest to one of masks: of its backbone, nano or full."""
    found = re.search(rf'_({"|".join(FULL_SIZES)})_', name)
    family = found[1] if found else 'seq2d'
    size = FULL_SIZES[family]
    return f'faster_rcnn_{family}_nano_shapes' if '_nano_' in name or not size else f'faster_rcnn_{family}_{size}_coco'


def scoped(cfg: Config, package: str, name: str) -> str:
    """A type as a config of a scope names it."""
    return name if cfg.get('default_scope') == package else f'{package}.{name}'


def is_kind(cfg: Config, node: dict[str, object], kind: str) -> bool:
    """Whether a config's dict is of a type, ``package.Name``."""
    return qualified(node, cfg.get('default_scope') or 'mmengine') == kind

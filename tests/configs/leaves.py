"""The leaf configs: their grammar, each loaded once, each built once without memory for its weights."""

import copy
import functools
import re
from pathlib import Path

import torch
from mmengine.registry import DefaultScope

from mmseq.config import load_config
from mmseq.registry import MODELS

CONFIGS = Path(__file__).parents[2] / 'configs'
LEAVES = sorted(CONFIGS.glob('*.py'))
SEMANTIC = ('upernet', 'semantic_fpn', 'segformer', 'fcn', 'deeplabv3plus')
DETECTION = ('mask_rcnn', 'faster_rcnn', 'cascade_mask_rcnn', 'retinanet', 'atss', 'gfl', 'dino')
# {head}_{backbone}_{size}_{dataset}[_{schedule}]
BACKBONES = ('seq2d', 'vsequencer', 'shiftvit', 'vil', 'swin', 'convnext')
# One head and family each: those of others are a config's other line. tests/configs/test_public_data.py runs them.
FURTHER = ('lvis', 'coco_rem', 'cityscapes', 'pascal_context', 'pascal_context_59', 'voc12', 'voc12_aug', 'voc0712')
DATASETS = ('ade20k', 'coco', 'coco_panoptic', 'shapes', 'imagenet', *FURTHER)
NAME = re.compile(
    rf'(?P<head>{"|".join((*SEMANTIC, *DETECTION, "mask2former", "classifier"))})_(?P<backbone>{"|".join(BACKBONES)})'
    rf'_(?P<size>[a-z]+(?:_light)?)_(?P<dataset>{"|".join(DATASETS)})(?:_(?P<schedule>3x|authors))?'
)


@functools.cache
def _load(path):
    return load_config(str(path), {})


def load(path):
    """A leaf's merged config, to change as one likes."""
    return copy.deepcopy(_load(path))


@functools.cache
def built(path):
    """A leaf's model on the meta device; nobody may change it."""
    cfg = load(path)
    # Only the structure counts here: building shares no weights with a download.
    cfg.model.backbone.init_cfg = None
    with DefaultScope.overwrite_default_scope(cfg.default_scope), torch.device('meta'):
        return MODELS.build(cfg.model)

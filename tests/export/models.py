"""Small models of every head and family that is exported, whose random weights find something."""

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmseq.config import load_config
from mmseq.datasets.shapes import SEG_CLASSES, SHAPES_CLASSES
from mmseq.model.build import build_here
from mmseq.model.trained import in_single_lines
from tests.configs.leaves import CONFIGS
from tests.configs.test_heads import of_shapes, small

# Layers that score: louder, so that some scores are high.
SCORING = ('fc_cls', 'retina_cls', 'atss_cls', 'gfl_cls', 'rpn_cls', 'cls_branches', 'cls_embed')
# Of queries, in place of the hundreds that small images have no cells for; and what few segments of chance reach.
CHANGES = {
    'dino': {'num_queries': 60, 'test_cfg.max_per_img': 20},
    'mask2former_panoptic': {'test_cfg.object_mask_thr': 0.0, 'test_cfg.iou_thr': 0.1},
}


def small_model(path, large, card, folder):
    """A config of ours with another backbone and small heads, and its model in evaluation mode.

    Args:
        path: of the config.
        large: the file in ``configs/_base_/backbones`` that it names.
        card: the one in its place.
        folder: for the config's text.
    """
    text = path.read_text().replace("'_base_/", f"'{CONFIGS}/_base_/")
    copied = folder / path.name
    copied.write_text(text.replace(f'backbones/{large}.py', f'backbones/{card}.py'))
    cfg = load_config(str(copied), {}, str(folder))
    backbone = cfg.model.pop('backbone')
    cfg = Config(small(cfg._cfg_dict))
    cfg.model.backbone = backbone
    detector = 'coco' in path.stem
    stuff = int(not detector or 'panoptic' in path.stem)
    of_shapes(cfg.model, len(SHAPES_CLASSES), stuff)
    kind = path.stem.split('_')[0] + '_panoptic' * ('panoptic' in path.stem)
    cfg.merge_from_dict({f'model.{key}': value for key, value in CHANGES.get(kind, {}).items()})
    init_default_scope(cfg.default_scope)
    model = build_here(cfg)
    with in_single_lines():
        model.init_weights()
    liven(model)
    names = (*SHAPES_CLASSES, *('background',) * stuff) if detector else SEG_CLASSES
    model.cfg, model.dataset_meta = cfg, dict(classes=names)
    return cfg, model.eval()


def liven(model):
    """Noise in all weights, and scores that are high here and there; in place."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for key, x in model.state_dict().items():
            if key.endswith('running_var'):
                x.uniform_(0.5, 1.5, generator=generator)
            elif x.is_floating_point():
                x += (0.02 if x.dim() > 1 else 0.1) * torch.randn(x.shape, generator=generator)
        for key, x in model.named_parameters():
            if any(word in key for word in SCORING):
                if x.dim() > 1:
                    x *= 0.1 if 'retina' in key else 4
                elif not key.startswith(('roi_head', 'rpn_head', 'panoptic_head')):
                    x.copy_(torch.randn(x.shape, generator=generator) - 2)

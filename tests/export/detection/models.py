"""Small detectors of every kind that is exported, whose random weights find something."""

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmseq.config import load_config
from mmseq.datasets.shapes import SHAPES_CLASSES
from mmseq.model.build import build_here
from tests.configs.leaves import CONFIGS
from tests.configs.test_heads import of_shapes, small

# Layers that score: louder, so that some scores are high.
SCORING = ('fc_cls', 'retina_cls', 'atss_cls', 'gfl_cls', 'rpn_cls', 'cls_branches', 'cls_embed')


def detector(name, folder, **changes):
    """A config of ours with a tiny backbone and small heads, and its model in evaluation mode.

    Args:
        name: of a config with Sequencer2D-S.
        folder: for its text.
        changes: entries of ``model``, after it was made small.
    """
    text = (CONFIGS / f'{name}.py').read_text().replace("'_base_/", f"'{CONFIGS}/_base_/")
    path = folder / f'{name}.py'
    path.write_text(text.replace('backbones/seq2d_s.py', 'backbones/seq2d_nano.py'))
    cfg = load_config(str(path), {}, str(folder))
    backbone = cfg.model.pop('backbone')
    cfg = Config(small(cfg._cfg_dict))
    cfg.model.backbone = backbone
    of_shapes(cfg.model, len(SHAPES_CLASSES), int('panoptic' in name))
    cfg.merge_from_dict({f'model.{key}': value for key, value in changes.items()})
    init_default_scope(cfg.default_scope)
    model = build_here(cfg)
    model.init_weights()
    liven(model)
    extra = ('background',) if 'panoptic' in name else ()
    model.cfg, model.dataset_meta = cfg, dict(classes=(*SHAPES_CLASSES, *extra))
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

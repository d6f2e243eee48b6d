"""Types of upstream that give wrong figures, and ours in their place, in any config."""

import os

from mmengine.config import Config, ConfigDict

from mmseq.config import qualified
from mmseq.datasets.nesting import loader_datasets
from mmseq.nested import walk

OURS = {
    'mmdet.CocoMetric': 'mmseq.CocoMetric',
    'mmseg.IoUMetric': 'mmseq.IoUMetric',
    'mmseg.SegTTAModel': 'mmseq.SegTTAModel',
}
"""Each takes the arguments of upstream's, and ``upstream=True`` to give what upstream's gives."""


def use_upstream_names(cfg: Config) -> Config:
    """Undo :func:`use_own_versions`, of which the config that a run leaves behind is a result.

    Checks and messages then meet upstream's classes alone.
    """
    upstream = {ours: name for name, ours in OURS.items()}
    for node in walk([cfg.get('val_evaluator'), cfg.get('test_evaluator'), cfg.get('tta_model')]):
        if isinstance(node.get('type'), str):
            node['type'] = upstream.get(node['type'], node['type'])
    return cfg


def use_own_versions(cfg: Config) -> Config:
    """Put our metrics and test-time augmentation in place of upstream's; ``OURS`` lists them."""
    scope = cfg.get('default_scope') or 'mmengine'
    for key in ('val_evaluator', 'test_evaluator', 'model'):
        for node in walk(cfg.get(key)):
            if (ours := OURS.get(qualified(node, scope))) is not None:
                node['type'] = ours
            if node.get('type') == 'mmseq.IoUMetric' and node.get('output_dir'):
                node.setdefault('image_root', image_root(cfg, key.replace('evaluator', 'dataloader')))
    return cfg


def evaluators(cfg: Config) -> list[ConfigDict]:
    """The test metrics of a config, one or several, or those of an evaluator."""
    found = cfg.test_evaluator
    if isinstance(found, dict):
        found = found.get('metrics', found)
    return list(found) if isinstance(found, (list, tuple)) else [found]


def image_root(cfg: Config, loader: str) -> str:
    """The folder that holds all images of a loader's data sets; empty where there is none in common."""
    roots = []
    for _, dataset in loader_datasets(cfg.get(loader), loader):
        prefix = dataset.get('data_prefix') or {}
        folder = prefix.get('img_path', prefix.get('img', ''))
        roots.append(os.path.abspath(os.path.join(dataset.get('data_root') or '', folder)))
    return os.path.commonpath(roots) if roots else ''

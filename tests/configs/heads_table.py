"""The table of heads and families in docs/heads.md, from the configs themselves: `python tests/configs/heads_table.py`.

Its cells are the parameters of the whole model, built from the leaf. tests/configs/test_heads.py trains and runs every
pair that stands in it, and fails when the page is stale.
"""

from tests.configs.leaves import CONFIGS, FURTHER, LEAVES, NAME, built, load

PAGE = CONFIGS.parent / 'docs' / 'heads.md'
# The size of each family that the table shows.
FAMILIES = {'seq2d': ('s', 'Sequencer2D-S'), 'shiftvit': ('t', 'Shift-T'), 'vil': ('t', 'ViL-T')}
TITLES = {
    ('upernet', 'ade20k'): 'UperNet',
    ('semantic_fpn', 'ade20k'): 'Semantic FPN',
    ('segformer', 'ade20k'): "SegFormer's head",
    ('fcn', 'ade20k'): 'FCN',
    ('deeplabv3plus', 'ade20k'): 'DeepLabV3+',
    ('mask2former', 'ade20k'): 'Mask2Former, semantic',
    ('mask_rcnn', 'coco'): 'Mask R-CNN',
    ('faster_rcnn', 'coco'): 'Faster R-CNN',
    ('cascade_mask_rcnn', 'coco'): 'Cascade Mask R-CNN',
    ('retinanet', 'coco'): 'RetinaNet',
    ('atss', 'coco'): 'ATSS',
    ('gfl', 'coco'): 'Generalized Focal Loss',
    ('dino', 'coco'): 'DINO',
    ('mask2former', 'coco'): 'Mask2Former, instances',
    ('mask2former', 'coco_panoptic'): 'Mask2Former, panoptic',
}
TEXT = """\
# Heads

<!-- Written by tests/configs/heads_table.py from the configs; do not edit. -->

All heads are upstream's, and each works with every family. `tests/configs/test_heads.py` trains each pair for one step
and predicts, with a small backbone and small images. The link opens the config. The number is the parameters of the
whole model in millions, with the backbone in the column's title. `mmseq configs` lists other sizes and schedules. For a
[new head](new_head.md) you write one file, and a config of about eight lines.

{table}

For most of these pairs we know no reported figures, and we have not trained them. The docstring of each config says
what is known. `mmseq make-shapes --panoptic` writes generated images with panoptic segments. Evaluating panoptic
quality needs no package besides `mmdet`.
"""


def pairs():
    """The leaves of the table with their parsed names; a pair with several schedules gives its plain one."""
    found = {}
    for path in LEAVES:
        name = NAME.fullmatch(path.stem)
        # Generated images show no recipe, a classifier has no head of upstream's, and further data sets no head anew.
        if (
            name
            and name['dataset'] not in ('shapes', 'imagenet', *FURTHER)
            and FAMILIES.get(name['backbone'], ('',))[0] == name['size']
        ):
            found.setdefault((name['head'], name['dataset'], name['backbone']), (path, name))
    order = list(TITLES)
    return sorted(found.values(), key=lambda pair: order.index((pair[1]['head'], pair[1]['dataset'])))


def page():
    """The text of the page."""
    cells = {(name['head'], name['dataset'], name['backbone']): cell(path) for path, name in pairs()}
    rows = [['head', 'recipe', *(title for _, title in FAMILIES.values())], ['---'] * (2 + len(FAMILIES))]
    for (head, dataset), title in TITLES.items():
        path = next(path for path, name in pairs() if (name['head'], name['dataset']) == (head, dataset))
        rows.append([title, recipe(path), *(cells[head, dataset, family] for family in FAMILIES)])
    return TEXT.format(table='\n'.join(f'| {" | ".join(row)} |' for row in rows))


def recipe(path):
    """Data set, length and effective batch of a leaf."""
    cfg = load(path)
    length = cfg.train_cfg.get('max_epochs')
    length = f'{length} epochs' if length else f'{cfg.train_cfg.max_iters} iterations'
    return f'{NAME.fullmatch(path.stem)["dataset"]}, {length} of {cfg.auto_scale_lr.base_batch_size}'


def cell(path):
    """The parameters of a leaf's model in millions, linked to the leaf."""
    millions = sum(parameter.numel() for parameter in built(path).parameters()) / 1e6
    return f'[{millions:.1f}](../configs/{path.name})'


if __name__ == '__main__':
    PAGE.write_text(page())

"""COCO 2017 panoptic segments with large-scale jittering, as in mmdetection's Mask2Former recipe; below ``MMSEQ_DATA``.

Beside PQ it measures box and mask AP of the things, for which it reads instances_val2017.json.
"""

_base_ = 'mmdet::_base_/datasets/coco_panoptic.py'

from mmengine.hub import get_config  # noqa: E402

data_root = '{{$MMSEQ_DATA:data}}/coco/'
train_pipeline = get_config('mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco-panoptic.py').train_pipeline
train_dataloader = dict(dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))
val_evaluator = [
    dict(
        type='CocoPanopticMetric',
        ann_file=data_root + 'annotations/panoptic_val2017.json',
        seg_prefix=data_root + 'annotations/panoptic_val2017/',
    ),
    dict(type='CocoMetric', ann_file=data_root + 'annotations/instances_val2017.json', metric=['bbox', 'segm']),
]
test_evaluator = val_evaluator
del get_config

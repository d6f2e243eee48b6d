"""Cityscapes as instances, in COCO files as mmdetection's converter writes them, below ``MMSEQ_DATA``.

It measures COCO's AP. Upstream measures Cityscapes' own AP beside it, which needs the package cityscapesscripts.
"""

_base_ = 'mmdet::_base_/datasets/cityscapes_instance.py'
data_root = '{{$MMSEQ_DATA:data}}/cityscapes/'
train_dataloader = dict(dataset=dict(dataset=dict(data_root=data_root)))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))
val_evaluator = dict(
    _delete_=True,
    type='CocoMetric',
    ann_file=data_root + 'annotations/instancesonly_filtered_gtFine_val.json',
    metric=['bbox', 'segm'],
)
test_evaluator = val_evaluator

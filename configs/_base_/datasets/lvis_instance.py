"""LVIS v1 as mmdetection prepares it, below ``MMSEQ_DATA``: images with rare classes are repeated in training.

Images lie in lvis_v1/train2017 and val2017; they are COCO's, so links to its folders do. Needs ``pip install
'mmseq[lvis]'``.
"""

_base_ = 'mmdet::_base_/datasets/lvis_v1_instance.py'
data_root = '{{$MMSEQ_DATA:data}}/lvis_v1/'
train_dataloader = dict(dataset=dict(dataset=dict(data_root=data_root)))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))
val_evaluator = dict(ann_file=data_root + 'annotations/lvis_v1_val.json')
test_evaluator = dict(ann_file=data_root + 'annotations/lvis_v1_val.json')

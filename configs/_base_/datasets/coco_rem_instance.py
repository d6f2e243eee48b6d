"""COCO 2017's images with the annotations of COCO-ReM (arXiv 2403.18819), below ``MMSEQ_DATA``.

The authors' layout: coco with the images, and beside it coco_rem with their two files.
"""

_base_ = 'coco_instance.py'
data_root = '{{$MMSEQ_DATA:data}}/'
train_dataloader = dict(
    dataset=dict(
        data_root=data_root, ann_file='coco_rem/instances_trainrem.json', data_prefix=dict(img='coco/train2017/')
    )
)
val_dataloader = dict(
    dataset=dict(data_root=data_root, ann_file='coco_rem/instances_valrem.json', data_prefix=dict(img='coco/val2017/'))
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'coco_rem/instances_valrem.json')
test_evaluator = val_evaluator

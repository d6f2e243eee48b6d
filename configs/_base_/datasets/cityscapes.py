"""Cityscapes as label maps, ``*_gtFine_labelTrainIds.png``, as mmsegmentation prepares it; below ``MMSEQ_DATA``."""

_base_ = 'mmseg::_base_/datasets/cityscapes.py'
data_root = '{{$MMSEQ_DATA:data}}/cityscapes/'
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))

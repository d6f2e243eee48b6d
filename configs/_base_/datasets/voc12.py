"""Pascal VOC 2012 as label maps, its 1,464 training images, as mmsegmentation prepares it; below ``MMSEQ_DATA``."""

_base_ = 'mmseg::_base_/datasets/pascal_voc12.py'
data_root = '{{$MMSEQ_DATA:data}}/VOCdevkit/VOC2012'
train_dataloader = dict(batch_size=2, dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))

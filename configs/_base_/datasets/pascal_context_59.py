"""Pascal Context with its 59 classes, the background ignored, as mmsegmentation prepares it, below ``MMSEQ_DATA``."""

_base_ = 'mmseg::_base_/datasets/pascal_context_59.py'
data_root = '{{$MMSEQ_DATA:data}}/VOCdevkit/VOC2010/'
train_dataloader = dict(batch_size=2, dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))

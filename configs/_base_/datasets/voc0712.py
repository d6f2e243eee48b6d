"""Boxes of Pascal VOC: training on 2007 and 2012, test on 2007, as mmdetection prepares them; below ``MMSEQ_DATA``."""

_base_ = 'mmdet::_base_/datasets/voc0712.py'
data_root = '{{$MMSEQ_DATA:data}}/VOCdevkit/'
train_dataloader = dict(
    dataset=dict(
        dataset=dict(
            datasets=[dict(years, data_root=data_root) for years in _base_.train_dataloader.dataset.dataset.datasets]
        )
    )
)
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))

"""Pascal VOC 2012 with the further label maps of SBD, in SegmentationClassAug as mmsegmentation's voc_aug.py writes."""

_base_ = 'mmseg::_base_/datasets/pascal_voc12_aug.py'
data_root = '{{$MMSEQ_DATA:data}}/VOCdevkit/VOC2012'
train_dataloader = dict(
    batch_size=2,
    dataset=dict(
        datasets=[dict(_base_.dataset_train, data_root=data_root), dict(_base_.dataset_aug, data_root=data_root)]
    ),
)
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))

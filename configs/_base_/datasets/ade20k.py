"""ADE20K (SceneParse150) as mmsegmentation prepares it, below ``MMSEQ_DATA``."""

_base_ = 'mmseg::_base_/datasets/ade20k.py'
data_root = '{{$MMSEQ_DATA:data}}/ade/ADEChallengeData2016'
train_dataloader = dict(batch_size=2, dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))

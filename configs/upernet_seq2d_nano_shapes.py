"""UperNet, Sequencer2D-nano, embedded shapes, from random weights: the demo.

Recipe: ours, for two CPU cores.
Command: make demo, or mmseq train configs/upernet_seq2d_nano_shapes.py
Expected: mIoU of at least 0.60 after some minutes on two CPU cores; make demo checks it.
"""

_base_ = [
    '_base_/models/upernet.py',
    '_base_/backbones/seq2d_nano.py',
    '_base_/datasets/shapes_seg.py',
    '_base_/schedules/shapes_seg_1200.py',
    '_base_/runtime/mmseg.py',
]
model = dict(
    data_preprocessor=dict(size=(128, 128)),
    backbone=_base_.pop('backbone'),
    auxiliary_head=dict(in_channels=_base_.channels[2], channels=32, num_classes=9),
    decode_head=dict(in_channels=_base_.pop('channels'), channels=64, num_classes=9),
)

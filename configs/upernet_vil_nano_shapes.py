"""UperNet, ViL-nano, embedded shapes, from random weights.

Recipe: ours, for two CPU cores.
Command: mmseq train configs/upernet_vil_nano_shapes.py
Expected: not measured to the end; one run stood at mIoU 0.17 after half of its 1200 iterations. The learning rate of
the schedule was chosen for Sequencer2D.
"""

_base_ = [
    '_base_/models/upernet.py',
    '_base_/backbones/vil_nano.py',
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

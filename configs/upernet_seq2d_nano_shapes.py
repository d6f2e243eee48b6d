"""UperNet, Sequencer2D-nano, embedded shapes, from random weights: the demo.

Recipe: ours, for two CPU cores.
Command: make demo, or tools/train.py configs/upernet_seq2d_nano_shapes.py
Expected: mIoU of at least 0.60 after some minutes on two CPU cores; make demo checks it.
"""

_base_ = [
    '_base_/models/upernet_seq2d.py',
    '_base_/datasets/shapes_seg.py',
    '_base_/schedules/upernet_shapes.py',
    '_base_/runtime/mmseg.py',
]
model = dict(
    data_preprocessor=dict(size_divisor=32, test_cfg=dict(size_divisor=32)),
    backbone=dict(arch='nano', drop_path_rate=0.0, init_cfg=None),
    decode_head=dict(in_channels=[32, 64, 96, 128], channels=64, num_classes=9),
    auxiliary_head=dict(in_channels=96, channels=32, num_classes=9),
)

"""UperNet over Sequencer2D at its native strides 7, 14, 14, 14: the head takes any, and nothing is resampled."""

_base_ = 'upernet.py'
model = dict(
    # The crop's 512, up to the next multiple.
    data_preprocessor=dict(size=(518, 518), test_cfg=dict(size_divisor=14)),
    backbone=dict(out_strides=None),
)

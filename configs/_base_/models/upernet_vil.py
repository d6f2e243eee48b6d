"""UperNet as Vision-LSTM's authors train it: taps without norm, their pyramid, no dropout, labelled pixels' loss."""

_base_ = 'upernet.py'
# The mean is over the pixels that have a label: of a crop of ADE20K a seventh has none.
_head = dict(dropout_ratio=0.0, loss_decode=dict(avg_non_ignore=True))
model = dict(
    backbone=dict(out_strides=None, out_norm=False),
    neck=dict(type='mmseq.SimplePyramid', norm_cfg=dict(type='SyncBN')),
    decode_head=_head,
    auxiliary_head=_head,
    test_cfg=dict(mode='whole'),
)
del _head

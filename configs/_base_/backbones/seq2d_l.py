"""Sequencer2D-L from the authors' ImageNet weights, drop path as in their training."""

_base_ = 'seq2d_s.py'
backbone = dict(
    arch='l',
    drop_path_rate=0.4,
    init_cfg=dict(checkpoint='https://github.com/okojoalg/sequencer/releases/download/weights/sequencer2d_l.pth'),
)

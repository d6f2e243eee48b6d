"""Sequencer2D-M from the authors' ImageNet weights, drop path as in their training."""

_base_ = 'seq2d_s.py'
backbone = dict(
    arch='m',
    drop_path_rate=0.2,
    init_cfg=dict(checkpoint='https://github.com/okojoalg/sequencer/releases/download/weights/sequencer2d_m.pth'),
)

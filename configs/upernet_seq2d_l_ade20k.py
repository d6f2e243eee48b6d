"""As upernet_seq2d_s_ade20k.py, with Sequencer2D-L."""

_base_ = 'upernet_seq2d_s_ade20k.py'
weights = 'https://github.com/okojoalg/sequencer/releases/download/weights/sequencer2d_l.pth'
model = dict(backbone=dict(arch='l', drop_path_rate=0.4, init_cfg=dict(checkpoint=weights)))

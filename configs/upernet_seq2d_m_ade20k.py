"""As upernet_seq2d_s_ade20k.py, with Sequencer2D-M."""

_base_ = 'upernet_seq2d_s_ade20k.py'
weights = 'https://github.com/okojoalg/sequencer/releases/download/weights/sequencer2d_m.pth'
model = dict(backbone=dict(arch='m', drop_path_rate=0.2, init_cfg=dict(checkpoint=weights)))

"""As upernet_seq2d_nano_shapes.py, with VSequencer-nano.

Command: tools/train.py configs/upernet_vsequencer_nano_shapes.py
Expected: not measured yet.
"""

_base_ = 'upernet_seq2d_nano_shapes.py'
model = dict(backbone=dict(_delete_=True, type='mmseq.VSequencer', arch='nano'))

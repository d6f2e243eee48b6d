"""Shift-B, drop path as in the authors' training. They have released no weights of this size: it starts from random
ones unless init_cfg names a checkpoint.
"""

_base_ = 'shiftvit_t.py'
backbone = dict(arch='b', drop_path_rate=0.6, init_cfg=None)
channels = [128, 256, 512, 1024]

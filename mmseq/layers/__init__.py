"""Modules over the operators."""

from mmseq.layers.basic import Mlp, PatchConv, drop_path_ramp
from mmseq.layers.recurrent2d import Recurrent2D

__all__ = ['Mlp', 'PatchConv', 'Recurrent2D', 'drop_path_ramp']

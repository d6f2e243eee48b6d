"""Modules over the operators."""

from mmseq.layers.basic import DropPath, Mlp, PatchConv, drop_path_ramp, say_modules, spare, untouched
from mmseq.layers.global_norm import GlobalNorm
from mmseq.layers.init import init_sequencer
from mmseq.layers.mlstm_layer import MLSTMLayer
from mmseq.layers.position import PositionEmbedding
from mmseq.layers.recurrent1d import Recurrent1D
from mmseq.layers.recurrent2d import Recurrent2D
from mmseq.ops.in_place import add_branch

__all__ = [
    'DropPath',
    'GlobalNorm',
    'MLSTMLayer',
    'Mlp',
    'PatchConv',
    'PositionEmbedding',
    'Recurrent1D',
    'Recurrent2D',
    'add_branch',
    'drop_path_ramp',
    'init_sequencer',
    'say_modules',
    'spare',
    'untouched',
]

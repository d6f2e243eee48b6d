"""Operators: pure functions, each with a readable reference and faster backends that are held to it."""

from mmseq.ops.bilstm1d import bilstm1d
from mmseq.ops.bilstm2d import bilstm2d
from mmseq.ops.dispatch import use
from mmseq.ops.global_norm import global_norm
from mmseq.ops.global_norm_mlp import global_norm_mlp
from mmseq.ops.head_norm import head_norm
from mmseq.ops.mlstm import mlstm
from mmseq.ops.resample2d import resample2d
from mmseq.ops.shift2d import shift2d

__all__ = [
    'bilstm1d',
    'bilstm2d',
    'global_norm',
    'global_norm_mlp',
    'head_norm',
    'mlstm',
    'resample2d',
    'shift2d',
    'use',
]

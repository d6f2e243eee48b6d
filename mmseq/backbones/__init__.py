"""The families, one file each; importing this package registers them."""

from mmseq.backbones.sequencer2d import Sequencer2D

__all__ = ['Sequencer2D']

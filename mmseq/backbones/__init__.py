"""The families, one file each; importing this package registers them."""

from mmseq.backbones.sequencer2d import Sequencer2D
from mmseq.backbones.shiftvit import ShiftViT
from mmseq.backbones.timm import Timm
from mmseq.backbones.vision_lstm import VisionLSTM
from mmseq.backbones.vsequencer import VSequencer

__all__ = ['Sequencer2D', 'ShiftViT', 'Timm', 'VSequencer', 'VisionLSTM']

"""Weights: safe files, declarative key tables and strict loading."""

from mmseq.checkpoints.load import FAMILIES, Report, load_backbone, pretrained

__all__ = ['FAMILIES', 'Report', 'load_backbone', 'pretrained']

"""Necks of our own; upstream's are used wherever they serve."""

from mmseq.necks.pyramid import SimplePyramid

__all__ = ['SimplePyramid']

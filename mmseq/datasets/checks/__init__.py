"""What is wrong with a data set, said with exact counts and one line per cause before training."""

from mmseq.datasets.checks.coco import examine_coco
from mmseq.datasets.checks.findings import Finding, Report
from mmseq.datasets.checks.seg import examine_seg
from mmseq.datasets.checks.use import Use

__all__ = ['Finding', 'Report', 'Use', 'examine_coco', 'examine_seg']

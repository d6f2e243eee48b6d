"""Models as files that run without this package, published only where they agree with torch."""

from mmseq.export.formats import FORMATS
from mmseq.export.parts import PARTS, Part, part_of
from mmseq.export.publish import DETECTOR_SIZES, SIZES, TOLERANCE, Report, export

__all__ = ['DETECTOR_SIZES', 'FORMATS', 'PARTS', 'SIZES', 'TOLERANCE', 'Part', 'Report', 'export', 'part_of']

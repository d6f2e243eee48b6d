"""Models as files that run without this package, published only where they agree with torch."""

from mmseq.export.formats import FORMATS
from mmseq.export.parts import PARTS, Part, part_of
from mmseq.export.publish import SIZES, TOLERANCE, Report, export

__all__ = ['FORMATS', 'PARTS', 'SIZES', 'TOLERANCE', 'Part', 'Report', 'export', 'part_of']

"""Models as files that run without this package, published only where they agree with torch."""

from mmseq.analysis.export.formats import FORMATS
from mmseq.analysis.export.parts import PARTS, Part, part_of
from mmseq.analysis.export.publish import SIZES, TOLERANCE, Report, export

__all__ = ['FORMATS', 'PARTS', 'SIZES', 'TOLERANCE', 'Part', 'Report', 'export', 'part_of']

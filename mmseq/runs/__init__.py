"""Work dirs read back: curves, comparisons, confusions, the report page."""

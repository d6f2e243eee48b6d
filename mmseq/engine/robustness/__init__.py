"""One model evaluated on changed images and with further metrics."""

PARTS = ('corruptions', 'boundaries', 'resolution', 'consistency', 'position', 'calibration')
"""What can be measured, in the order in which it is."""

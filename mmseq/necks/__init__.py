"""Necks of our own; upstream's are used wherever they serve."""

"""Damaged and hostile checkpoints for the converter."""

"""Backbones compared: one head, schedule and data for each, and what came of it in one table."""

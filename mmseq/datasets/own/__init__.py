"""Data of one's own: cards that say what it is, and what reads it as labelling tools write it."""

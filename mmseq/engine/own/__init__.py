"""A config for one's own data: what a data card, ``--epochs`` and ``--image-size`` change in it, and by which rules."""

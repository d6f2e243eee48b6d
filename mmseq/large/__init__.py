"""Images larger than a model's usual ones: tiles joined again, masks as run lengths, the memory that a pass needs."""

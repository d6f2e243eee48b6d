"""Images with one class each, for pretraining: class folders, lists, and packed arrays."""

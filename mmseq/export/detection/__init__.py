"""Detectors from an image to boxes, scores, labels and masks, as torch.export records them."""

"""Drawing: predictions, annotations, one beside the other, curves and contact sheets."""

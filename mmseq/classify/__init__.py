"""Classifiers over backbones: with their authors' heads, their pretraining, and what their weights are worth."""

from mmseq.classify.classifier import Classifier, build_classifier
from mmseq.classify.weights import identify, load_weights

__all__ = ['Classifier', 'build_classifier', 'identify', 'load_weights']

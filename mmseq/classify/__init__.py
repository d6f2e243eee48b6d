"""Classifiers over backbones: with their authors' heads, and their pretraining."""

from mmseq.classify.classifier import Classifier, build_classifier

__all__ = ['Classifier', 'build_classifier']

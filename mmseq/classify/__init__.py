"""Classifiers over our backbones, with their authors' heads."""

from mmseq.classify.classifier import Classifier, build_classifier

__all__ = ['Classifier', 'build_classifier']

"""Trained models on images and videos, the files of results, and the web page."""

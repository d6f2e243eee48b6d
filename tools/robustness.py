"""Measure how robust a trained model is; see --help."""

from mmseq.cli import run
from mmseq.cli.robustness import main

if __name__ == '__main__':
    run(main)

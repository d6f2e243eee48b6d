"""Evaluate a checkpoint; see --help."""

from mmseq.cli import run
from mmseq.cli.test import main

if __name__ == '__main__':
    run(main)

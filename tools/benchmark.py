"""Measure inference speed and memory of a config's model; see --help."""

from mmseq.cli import run
from mmseq.cli.benchmark import main

if __name__ == '__main__':
    run(main)

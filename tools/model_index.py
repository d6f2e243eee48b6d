"""Refresh model-index.yml and the tables made from it; see --help."""

from mmseq.cli import run
from mmseq.cli.model_index import main

if __name__ == '__main__':
    run(main)

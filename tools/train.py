"""Train a detector or a segmentor; see --help."""

from mmseq.cli import run
from mmseq.cli.train import main

if __name__ == '__main__':
    run(main)

"""Pretrain a backbone as a classifier; see --help."""

from mmseq.cli import run
from mmseq.cli.pretrain import main

if __name__ == '__main__':
    run(main)

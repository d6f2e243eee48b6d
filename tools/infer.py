"""Detect or segment what is on pictures and videos; see --help."""

from mmseq.cli import run
from mmseq.cli.infer import main

if __name__ == '__main__':
    run(main)

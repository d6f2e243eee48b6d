"""A page about one or several runs; see --help."""

from mmseq.cli import run
from mmseq.cli.report import main

if __name__ == '__main__':
    run(main)

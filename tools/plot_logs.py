"""Curves of several runs in one picture; see --help."""

from mmseq.cli import run
from mmseq.cli.plot_logs import main

if __name__ == '__main__':
    run(main)

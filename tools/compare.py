"""Several runs in one table; see --help."""

from mmseq.cli import run
from mmseq.cli.compare import main

if __name__ == '__main__':
    run(main)

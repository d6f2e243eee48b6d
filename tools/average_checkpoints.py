"""Average checkpoints of one model; see --help."""

from mmseq.cli import run
from mmseq.cli.average import main

if __name__ == '__main__':
    run(main)

"""Strip a checkpoint to its weights; see --help."""

from mmseq.cli import run
from mmseq.cli.publish import main

if __name__ == '__main__':
    run(main)

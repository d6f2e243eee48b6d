"""Draw the confusion matrix of an evaluation; see --help."""

from mmseq.cli import run
from mmseq.cli.confusion import main

if __name__ == '__main__':
    run(main)

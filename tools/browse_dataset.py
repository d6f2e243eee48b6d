"""Draw what a model sees of the data of a config; see --help."""

from mmseq.cli import run
from mmseq.cli.browse_dataset import main

if __name__ == '__main__':
    run(main)

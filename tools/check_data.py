"""Check the data of a config; see --help."""

from mmseq.cli import run
from mmseq.cli.check_data import main

if __name__ == '__main__':
    run(main)

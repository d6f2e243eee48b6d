"""Read the labels of your own data as a data card; see --help."""

from mmseq.cli import run
from mmseq.cli.import_data import main

if __name__ == '__main__':
    run(main)

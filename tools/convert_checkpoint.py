"""Convert weights between layouts; see --help."""

from mmseq.cli import run
from mmseq.cli.convert import main

if __name__ == '__main__':
    run(main)

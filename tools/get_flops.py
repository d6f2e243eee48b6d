"""Count parameters and operations of a config's model; see --help."""

from mmseq.cli import run
from mmseq.cli.flops import main

if __name__ == '__main__':
    run(main)

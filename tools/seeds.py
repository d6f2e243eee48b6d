"""Train a config with several seeds; see --help."""

from mmseq.cli import run
from mmseq.cli.seeds import main

if __name__ == '__main__':
    run(main)

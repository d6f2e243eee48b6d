"""Print a config with all that it inherits, or what it changes; see --help."""

from mmseq.cli import run
from mmseq.cli.print_config import main

if __name__ == '__main__':
    run(main)

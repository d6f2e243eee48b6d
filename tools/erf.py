"""Show how far each level of a model sees, before and after training; see --help."""

from mmseq.cli import run
from mmseq.cli.erf import main

if __name__ == '__main__':
    run(main)

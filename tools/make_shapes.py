"""Write the embedded shapes data set; see --help."""

from mmseq.cli import run
from mmseq.cli.make_shapes import main

if __name__ == '__main__':
    run(main)

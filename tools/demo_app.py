"""Serve a web page to try a trained model on; see --help."""

from mmseq.cli import run
from mmseq.cli.demo_app import main

if __name__ == '__main__':
    run(main)

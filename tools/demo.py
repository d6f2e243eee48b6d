"""Fine-tune and evaluate a small model in both tasks on the embedded data; see --help."""

from mmseq.cli import run
from mmseq.cli.demo import main

if __name__ == '__main__':
    run(main)

"""``python -m mmseq``, the same as the command ``mmseq``."""

from mmseq.cli.main import command

if __name__ == '__main__':
    command()

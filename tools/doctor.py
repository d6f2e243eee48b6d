"""Check this installation; see --help."""

import sys

from mmseq.doctor import main

if __name__ == '__main__':
    sys.exit(main())

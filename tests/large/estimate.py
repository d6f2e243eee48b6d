"""Print the estimate of an image's memory in GiB, in a heap with a hole; see test_memory.py.

usage: estimate.py usual|kept
"""

import re
import sys

import numpy as np

from mmseq.compat import allocator
from mmseq.large import memory
from mmseq.large.memory import Room
from mmseq.predict.predictor import collate
from tests.large.test_memory import sample, step

if sys.argv[1] == 'kept':
    allocator.keep_memory()
# A hole that the smaller one of the sizes tried fits into, and the larger one does not.
hole, behind = np.ones(60 * 2**20, np.uint8), np.ones(2**20, np.uint8)
del hole
memory.available = lambda: 0
try:
    Room(step).check([sample(3000, 4000)], collate)
except MemoryError as error:
    found = re.match(r'Unable to allocate (\S+) GiB, .* 1 x 4000 x 3000 px .*--tiles 1024', str(error))
    sys.stdout.write(found[1])

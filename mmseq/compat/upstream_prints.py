"""Lines that upstream prints and has no switch for: they go where the caller wants them.

pycocotools prints what it does, step by step (2.0.11 still does). mmengine's `print_log` prints where it gets no
logger, and mmengine's own loading of checkpoints gives it none (0.10.7).
"""

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def upstream_prints(to: Callable[[str], None]) -> Iterator[None]:
    """Hand each line that they print to a function; within another, to the inner one's.

    Args:
        to: takes a line.
    """
    from mmengine.logging import logger
    from pycocotools import coco, cocoeval

    def write(*values: Any) -> None:
        line = ' '.join(map(str, values))
        # mmdet collects the table of figures by redirecting stdout.
        if isinstance(sys.stdout, io.StringIO):
            sys.stdout.write(f'{line}\n')
        else:
            to(line)

    before = [(module, vars(module).get('print', print)) for module in (coco, cocoeval, logger)]
    for module, _ in before:
        module.print = write
    try:
        yield
    finally:
        for module, printing in before:
            module.print = printing

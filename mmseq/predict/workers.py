"""Threads that do what comes before and after a model while it computes.

Decoding, resizing, drawing and writing images are OpenCV's, and leave the interpreter free for other threads; images
need not be copied to other processes, nor the model be loaded there.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TypeVar

# More than a few only wait for the model.
WORKERS = min(4, os.cpu_count() or 1)
Given = TypeVar('Given')
Made = TypeVar('Made')


class Workers:
    """Some threads.

    Args:
        number: how many.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self._pool = ThreadPoolExecutor(number, thread_name_prefix='mmseq')

    def __enter__(self) -> 'Workers':
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def ahead(self, work: Callable[[Given], Made], items: Iterable[Given], number: int) -> Iterator[Made]:
        """``work`` of every item in their order, begun for up to so many more than were taken.

        The items themselves are taken in the thread of the caller. What ``work`` raises is raised in the item's place.
        """
        begun: deque[Future[Made]] = deque()
        try:
            for item in items:
                begun.append(self._pool.submit(work, item))
                if len(begun) > number:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        finally:
            for future in begun:
                future.cancel()

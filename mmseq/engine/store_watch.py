"""Whether the node that holds the rendezvous still answers: torchrun on the other nodes waits for it without end.

torch's calls to the store of the rendezvous block until the system gives the connection up, which takes a quarter of an
hour where a node has disappeared, and for ever where it hangs; no setting of torchrun reaches them.
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Event, Thread

# Seconds between two questions.
PAUSE = 1.0


@contextmanager
def ending_without(host: str, port: int, seconds: int) -> Iterator[None]:
    """End this process with status 1 and one line once the store has not answered for so long; its children follow.

    Nothing happens before the first answer: until then torchrun's own time for joining counts.
    """
    answers: list[float] = []
    done = Event()
    Thread(target=_ask, args=(host, port, seconds, answers, done), daemon=True).start()
    Thread(target=_watch, args=(host, port, seconds, answers, done), daemon=True).start()
    try:
        yield
    finally:
        done.set()


def _ask(host: str, port: int, seconds: int, answers: list[float], done: Event) -> None:
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    while not done.wait(PAUSE):
        try:
            store = TCPStore(host, port, wait_for_workers=False, timeout=timedelta(seconds=seconds))
            while not done.wait(PAUSE):
                store.check(['mmseq'])
                answers[:] = [time.monotonic()]
        except RuntimeError:
            # Every error of a store is one: no answer.
            continue


def _watch(host: str, port: int, seconds: int, answers: list[float], done: Event) -> None:
    while not done.wait(PAUSE):
        if answers and time.monotonic() - answers[0] > seconds:
            sys.stderr.write(
                f'error: the node at {host}:{port} (MASTER_ADDR) has not answered for {seconds} s; the run can go on '
                'from its last checkpoint\n'
            )
            sys.stderr.flush()
            # The main thread may be in a call that never returns.
            os._exit(1)

"""An exception explained to the user in one line: names in a config, memory, frequent failures.

What is not known here stays the exception that it is, with its traceback.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from mmseq.errors import InputError, ProcessError
from mmseq.explain import events, memory, names
from mmseq.explain.work import Work
from mmseq.ranks import rank, world_size

# The exceptions of upstream, torch and Python that bad input can cause.
EXPLAINED = (
    KeyError,
    TypeError,
    ValueError,
    RuntimeError,
    AssertionError,
    AttributeError,
    IndexError,
    ImportError,
    OSError,
    MemoryError,
)


def explain(error: BaseException, work: Work) -> InputError | None:
    """The exception to raise instead of another one; None if that is not known to come from bad input.

    Args:
        error: what was raised.
        work: what was done.
    """
    if text := names.explain(error, work):
        # A config is the same in all processes.
        return InputError(work.say(text))
    text = memory.explain(error, work) or events.explain(error, work)
    if text is None and (text := names.refused(error, work)):
        return InputError(work.say(text))
    text = text or events.own_message(error, work)
    if text is None:
        return None
    if world_size() > 1:
        return ProcessError(f'rank {rank()}: {work.say(text)}')
    return InputError(work.say(text))


@contextmanager
def explaining(work: Work) -> Iterator[None]:
    """Explain what goes wrong inside.

    Args:
        work: what is done.

    Raises:
        InputError: in the place of what :func:`explain` knows.
    """
    try:
        yield
    except InputError:
        raise
    except EXPLAINED as error:
        problem = explain(error, work)
        if problem is None:
            raise
        raise problem from error

"""What an exception means for the one who can mend it, in one line: names in a config, memory, frequent failures.

What is not known here stays the exception that it is, with its traceback.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from mmseq.errors import InputError, ProcessError
from mmseq.explain import events, memory, names
from mmseq.explain.work import Work
from mmseq.ranks import rank, world_size

# What upstream, torch and Python raise for what a user can mend.
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
    """The exception to raise in the place of another one; None if that is not known to be the user's to mend.

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
    text = text or events.say_what_there_is(error, work)
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

"""The exception for bad input: one line with what is wrong, where, and what to do."""

import re


class InputError(ValueError):
    """Bad input from outside: a file, a config, a checkpoint, an option.

    The command lines print it as one line without a traceback and exit with status 2. The message therefore names the
    file, key or value at fault and what to do about it, and holds no line break unless it lists keys.
    """


class ProcessError(InputError):
    """An error of one process of several: each prints its own, while an InputError is printed by the first alone."""


def first_line(error: BaseException) -> str:
    """The first line of an error's text, without a KeyError's quotes and without links to manuals."""
    text = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
    lines = text.strip().splitlines() or [type(error).__name__]
    return re.split(r'\. (?:More details|Please check)', lines[0])[0]

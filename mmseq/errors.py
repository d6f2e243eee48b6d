"""The one exception that a user can cause and mend: a single line saying what is wrong, where, and what to do."""


class InputError(ValueError):
    """Bad input from outside: a file, a config, a checkpoint, an option.

    The command lines print it as one line without a traceback and exit with status 2. The message therefore names the
    file, key or value at fault and what to do about it, and holds no line break unless it lists keys.
    """

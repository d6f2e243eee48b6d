"""Names of the user's own in pictures: classes, runs and files may hold anything."""


def one_line(text: str) -> str:
    """The text with a space for each line break: Pillow raises where a name in one line is placed."""
    return ' '.join(text.splitlines())


def plain(text: str) -> str:
    """The text in one line for matplotlib, which would read what stands between two dollars as a formula."""
    return one_line(text).replace('$', r'\$')

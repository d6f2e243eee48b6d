"""What the docstrings and signatures of this project need before Sphinx reads them as reStructuredText."""

import re
from typing import Any

from sphinx.application import Sphinx

# Defaults as dataclasses and classes print them.
FACTORY = re.compile(r"<factory>|<class '(?:\w+\.)*(\w+)'>")


def literal_blocks(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """A block that is indented after a paragraph is a formula, a drawing or code, as in Markdown, and no quotation."""
    kept, lines[:] = list(lines), []
    last = ' '
    for line in kept:
        begins = bool(lines) and not lines[-1] and not last.startswith(' ')
        if begins and line.startswith('    '):
            lines += ['::', '']
        lines.append(line)
        last = line or last


def readable_defaults(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """Defaults that are no Python, such as ``<factory>``, would leave the whole signature unread."""
    return (FACTORY.sub(lambda found: found[1] or '...', signature) if signature else signature), returns


def setup(app: Sphinx) -> None:
    """Called by conf.py."""
    # Napoleon, which takes the sections apart, has the priority 500.
    app.connect('autodoc-process-docstring', literal_blocks, priority=400)
    app.connect('autodoc-process-signature', readable_defaults)

"""Ways of doing one thing, of which a reader takes one: on the site each is behind a tab, elsewhere one after another.

They stand between the comments ``<!-- site: tabs -->`` and ``<!-- site: end -->``, each below its name in bold.
"""

import re

from sphinx.application import Sphinx

WAYS = re.compile(r'^<!-- site: tabs -->\n(.*?)^<!-- site: end -->$', re.MULTILINE | re.DOTALL)
NAME = re.compile(r'^\*\*(.+)\*\*$', re.MULTILINE)
# More than any block within has.
FENCE = '`' * 6


def tabs(app: Sphinx, docname: str, source: list[str]) -> None:
    """Put the ways of a page behind tabs."""
    source[0] = WAYS.sub(lambda found: directives(found[1]), source[0])


def directives(text: str) -> str:
    """A directive for each way."""
    _, *pieces = NAME.split(text)
    ways = zip(pieces[::2], pieces[1::2])
    return '\n\n'.join(f'{FENCE}{{tab}} {name}\n' + way.strip('\n') + f'\n{FENCE}' for name, way in ways)


def setup(app: Sphinx) -> None:
    """Called by conf.py."""
    # Before every other comment of a page is filled.
    app.connect('source-read', tabs, priority=300)

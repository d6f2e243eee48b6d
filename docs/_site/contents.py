"""The sections of a long page as a list below its title, for screens without room for the list at the side."""

from typing import Any

from sphinx.application import Sphinx

# With fewer entries a page is read from the top.
LONG = 6


def contents(app: Sphinx, name: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Put the list into a page; the stylesheet shows it where the theme hides its own."""
    listed = context.get('toc') or ''
    if name != app.config.root_doc and listed.count('<a ') > LONG:
        found = f'<details class="on-this-page" open><summary>On this page</summary>{listed}</details>'
        context['body'] = context['body'].replace('</h1>', f'</h1>\n{found}', 1)


def setup(app: Sphinx) -> None:
    """Called by conf.py."""
    app.connect('html-page-context', contents)

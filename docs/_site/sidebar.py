"""The sidebar: the lists of docs/index.md, which read well as they are, become the site's tables of contents."""

import re

from sphinx.application import Sphinx

SECTION = re.compile(r'^## (.+)\n((?:.*\n)*?)(?=^## |\Z)', re.MULTILINE)
ENTRY = re.compile(r'^- \[(.+?)\]\((.+?)\.md\)', re.MULTILINE)


def toctrees(app: Sphinx, docname: str, source: list[str]) -> None:
    """Replace each section of the front page by a hidden toctree; runs before the README is put into it.

    What stands before the README is for readers of the folder.
    """
    if docname == app.config.root_doc:
        page = source[0][source[0].index('<!-- site: include') :]
        source[0] = SECTION.sub(lambda found: toctree(found[1], found[2]), page)


def toctree(title: str, text: str) -> str:
    """The directive for a section of links: its title is the caption, the links' texts are the entries.

    Without maxdepth every heading and object of the reference is copied for the sidebar of every page, which takes half
    of the time of a build, and the theme throws it away.
    """
    # Of CONTRIBUTING.md and CHANGELOG.md the site has pages in docs/.
    listed = '\n'.join(f'{name} <{target.removeprefix("../").lower()}>' for name, target in ENTRY.findall(text))
    return f'```{{toctree}}\n:hidden:\n:titlesonly:\n:maxdepth: 1\n:caption: {title}\n\n{listed}\n```\n\n'


def setup(app: Sphinx) -> None:
    """Called by conf.py."""
    app.connect('source-read', toctrees, priority=400)

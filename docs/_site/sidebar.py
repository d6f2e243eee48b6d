"""The sidebar: the lists of docs/index.md, which read well as they are, become the site's tables of contents."""

import re
from functools import partial
from typing import Any

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
    """The directive for a section of links: its title is the caption, the links' texts are the entries."""
    # Of CONTRIBUTING.md and CHANGELOG.md the site has pages in docs/.
    listed = '\n'.join(f'{name} <{target.removeprefix("../").lower()}>' for name, target in ENTRY.findall(text))
    return f'```{{toctree}}\n:hidden:\n:titlesonly:\n:caption: {title}\n\n{listed}\n```\n\n'


def shared(app: Sphinx, name: str, template: str, context: dict[str, Any], doctree: Any, made: dict[str, str]) -> None:
    """Make one sidebar for all pages of a folder that are in no toctree, as those of files are.

    For each sidebar Sphinx copies every heading and every object of the reference, which took two fifths of a build.
    """
    if name in app.env.found_docs:
        return
    make, folder = context['toctree'], name.rpartition('/')[0]

    def once(**options: Any) -> str:
        if folder not in made:
            made[folder] = make(**options)
        return made[folder]

    context['toctree'] = once


def setup(app: Sphinx) -> None:
    """Called by conf.py."""
    app.connect('source-read', toctrees, priority=400)
    # The theme asks for the sidebar at the priority 500.
    app.connect('html-page-context', partial(shared, made={}), priority=400)

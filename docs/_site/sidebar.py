"""The sidebar: the lists of docs/index.md, which read well as they are, become the site's tables of contents."""

import re
from html import escape
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

INDEX = Path(__file__).parents[1] / 'index.md'
SECTION = re.compile(r'^## (.+)\n((?:.*\n)*?)(?=^## |\Z)', re.MULTILINE)
ENTRY = re.compile(r'^- \[(.+?)\]\((.+?)\.md\)', re.MULTILINE)


def entries(text: str) -> list[tuple[str, str]]:
    """The pages of a list: how each is called there, and its name on the site."""
    # Of CONTRIBUTING.md and CHANGELOG.md the site has pages in docs/.
    return [(name, target.removeprefix('../').lower()) for name, target in ENTRY.findall(text)]


def toctrees(app: Sphinx, docname: str, source: list[str]) -> None:
    """Replace each section of the front page by a hidden toctree; runs before the README is put into it.

    What stands before the README is for readers of the folder.
    """
    if docname == app.config.root_doc:
        page = source[0][source[0].index('<!-- site: include') :]
        source[0] = SECTION.sub(lambda found: toctree(found[1], found[2]), page)


def toctree(title: str, text: str) -> str:
    """The directive for a section of links: its title is the caption, the links' texts are the entries."""
    listed = '\n'.join(f'{name} <{target}>' for name, target in entries(text))
    return f'```{{toctree}}\n:hidden:\n:titlesonly:\n:caption: {title}\n\n{listed}\n```\n\n'


def sidebar(app: Sphinx, name: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Make the sidebar of a page from the lists.

    For each sidebar Sphinx copies every heading and every object of the reference, which took a third of a build.
    """

    def made(**options: Any) -> str:
        sections = SECTION.findall(INDEX.read_text(encoding='utf-8'))
        return '\n'.join(section(app, name, title, text) for title, text in sections)

    context['toctree'] = made


def section(app: Sphinx, page: str, title: str, text: str) -> str:
    """HTML of a list with its title, as seen from a page."""
    items = []
    for name, target in entries(text):
        mark, address = (' current', '#') if target == page else ('', app.builder.get_relative_uri(page, target))
        link = f'<a class="reference internal" href="{address}">{escape(name)}</a>'
        items.append(f'<li class="toctree-l1{mark}">{link}</li>')
    caption = f'<p class="caption" role="heading"><span class="caption-text">{escape(title)}</span></p>'
    return f'{caption}\n<ul>{"".join(items)}</ul>'


def setup(app: Sphinx) -> None:
    """Called by conf.py."""
    app.connect('source-read', toctrees, priority=400)
    # The theme asks for the sidebar at the priority 500.
    app.connect('html-page-context', sidebar, priority=400)

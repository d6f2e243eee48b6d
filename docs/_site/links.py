"""Links that work in a checkout work on the site: to pages outside docs/, and to files of the repository.

A page that includes a file of the top level (README.md, CONTRIBUTING.md ...) resolves its links from there. A file that
is no page gets one: its text, highlighted.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from pygments.lexers import find_lexer_class_for_filename
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.nodes import make_refnode

DOCS = Path(__file__).parents[1]
ROOT = DOCS.parent
# Files of the top level and the page that includes each.
INCLUDED = {'README.md': 'index', 'CONTRIBUTING.md': 'contributing', 'CHANGELOG.md': 'changelog', 'LICENSE': 'licence'}
# Where the texts of files are on the site.
FOLDER = 'file'


def links_of_page(app: Sphinx, doctree: nodes.document) -> None:
    """Turn links to files that are no pages into links to pages; runs before Sphinx collects downloads and pictures."""
    docname = app.env.docname
    base = ROOT if docname in INCLUDED.values() else (DOCS / docname).parent
    for node in (*doctree.findall(addnodes.pending_xref), *doctree.findall(addnodes.download_reference)):
        if node.get('reftype') == 'myst' and node['reftarget'] not in app.env.found_docs:
            new = resolved(app, node, base)
            if new is not None:
                node.replace_self(new)
    for image in doctree.findall(nodes.image):
        path = (base / image['uri']).resolve()
        if path.is_file() and path.is_relative_to(DOCS):
            image['uri'] = f'/{path.relative_to(DOCS).as_posix()}'


def resolved(app: Sphinx, node: nodes.Element, base: Path) -> nodes.Element | None:
    """The link to the page or the file that a relative address means; None where it means neither."""
    address, anchor = destination(node)
    path = (base / address).resolve()
    if not address or not path.is_relative_to(ROOT) or not path.is_file():
        return None
    name = path.relative_to(ROOT).as_posix()
    inner = node.children[0].deepcopy()
    inner['classes'] = ['std', 'doc']
    docname = INCLUDED.get(name) or app.env.path2doc(path)
    if docname and (name in INCLUDED or path.is_relative_to(DOCS)):
        there = dict(refdomain='doc', reftype='myst', reftarget=docname, reftargetid=anchor)
        page = addnodes.pending_xref('', inner, refdoc=app.env.docname, refexplicit=True, **there)
        page.source, page.line = node.source, node.line
        return page
    app.env.metadata[app.env.docname].setdefault('repository_files', set()).add(name)
    return addnodes.pending_xref('', inner, refdomain='', reftype='repository', reftarget=name, refdoc=app.env.docname)


def destination(node: nodes.Element) -> tuple[str, str | None]:
    """Path and anchor of a link; of a Markdown file outside docs/ MyST has taken off the suffix and the anchor."""
    if node['refdomain'] == 'doc':
        return f'{node["reftarget"]}.md', node['reftargetid']
    path, _, anchor = node['reftarget'].partition('#')
    return path, anchor or None


def link_to_file(app: Sphinx, env: Any, node: addnodes.pending_xref, contnode: nodes.Element) -> nodes.Element | None:
    """Resolve what :func:`resolved` left for when the pages are written."""
    if node['reftype'] != 'repository':
        return None
    return make_refnode(app.builder, node['refdoc'], f'{FOLDER}/{node["reftarget"]}', None, contnode)


def pages_of_files(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """A page with its highlighted text for every file of the repository that some page links to."""
    names = set().union(*(data.get('repository_files', ()) for data in app.env.metadata.values()))
    for name in sorted(names):
        text = (ROOT / name).read_text(encoding='utf-8')
        lexer = find_lexer_class_for_filename(name)
        language = lexer.aliases[0] if lexer else 'text'
        code = app.builder.highlighter.highlight_block(text, language)
        body = f'<h1><code>{name}</code></h1><div class="highlight-{language}">{code}</div>'
        yield f'{FOLDER}/{name}', {'title': name, 'body': body}, 'page.html'


def setup(app: Sphinx) -> None:
    """Called by conf.py."""
    # Sphinx's own collectors have the priority 500.
    app.connect('doctree-read', links_of_page, priority=400)
    app.connect('missing-reference', link_to_file)
    app.connect('html-collect-pages', pages_of_files)

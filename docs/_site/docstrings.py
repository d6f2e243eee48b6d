"""What the docstrings and signatures of this project need before Sphinx reads them as reStructuredText."""

import builtins
import re
from functools import cache
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

PACKAGE = Path(__file__).parents[2] / 'mmseq'
# What a module defines, by class, def, or a value given to a name.
DEFINED = re.compile(r'^ *(?:class|def) (\w+)|^(\w+)(?:: [^=]+)? = ', re.MULTILINE)
# Names of other projects, of which nothing is downloaded to link to.
FOREIGN = re.compile(r'(?!mmseq\b)\w+(\.\w+)+')
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


def unlink_foreign(app: Sphinx, doctree: nodes.document) -> None:
    """Leave the short names of what has no entry here; to look each up among all of ours took a quarter of a build."""
    for reference in list(doctree.findall(addnodes.pending_xref)):
        target = reference.get('reftarget', '')
        if reference.get('refdomain') == 'py' and (hasattr(builtins, target) or FOREIGN.fullmatch(target)):
            names = list(reference.findall(addnodes.pending_xref_condition))
            reference.replace_self(names[0].children if names else reference.children)


@cache
def defined() -> frozenset[str]:
    """Every name that the source of mmseq defines."""
    texts = [path.read_text(encoding='utf-8') for path in PACKAGE.rglob('*.py')]
    return frozenset(name for text in texts for names in DEFINED.findall(text) for name in names)


def without_page(
    app: Sphinx, env: Any, reference: addnodes.pending_xref, contnode: nodes.Element
) -> nodes.Element | None:
    """A name of ours that is in no page of the reference is no link; one that nothing defines is a mistake."""
    name = reference['reftarget'].rpartition('.')[2]
    return contnode if reference['refdomain'] == 'py' and name in defined() else None


def setup(app: Sphinx) -> None:
    """Called by conf.py."""
    # Napoleon, which takes the sections apart, has the priority 500.
    app.connect('autodoc-process-docstring', literal_blocks, priority=400)
    app.connect('autodoc-process-signature', readable_defaults)
    app.connect('doctree-read', unlink_foreign)
    app.connect('missing-reference', without_page)

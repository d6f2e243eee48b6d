"""The language of each code block: Markdown's indented blocks name none, and a block of commands may be called text.

Commands and Python are highlighted and get a button that copies them. What a command prints stays as it is.
"""

import ast
import re
from textwrap import dedent

from docutils import nodes
from sphinx.application import Sphinx

# Lines that a shell takes: variables, a program of those that the pages use, its arguments.
COMMAND = re.compile(
    r'(\w+=\S* +)*(nice|env|export|make|mmseq|pip|uv|docker|git|cd|python3?|\.venv/bin/\w+|tools/\w+\.(sh|py))( |$)'
)
NAMELESS = ('default', 'none', 'text')
CODE = (ast.Assign, ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.For, ast.With)


def languages(app: Sphinx, doctree: nodes.document) -> None:
    """Name the language of every block of a page that has none."""
    for block in doctree.findall(nodes.literal_block):
        if block.get('language', 'default') in NAMELESS:
            block['language'] = language(block.astext())


def language(text: str) -> str:
    """The name of a lexer: bash, python or text."""
    # Lines that end in a backslash go on.
    lines = dedent(text).replace('\\\n', ' ').splitlines()
    told = [line for line in lines if line and not line.startswith('#')]
    if told and all(COMMAND.match(line) for line in told):
        return 'bash'
    return 'python' if is_python(dedent(text)) else 'text'


def is_python(text: str) -> bool:
    """Whether a text is statements of Python, and no words that Python happens to read."""
    try:
        statements = ast.parse(text).body
    except SyntaxError:
        return False
    return any(isinstance(one, CODE) or isinstance(getattr(one, 'value', None), ast.Call) for one in statements)


def setup(app: Sphinx) -> None:
    """Called by conf.py."""
    app.connect('doctree-read', languages)

"""Fills ``<!-- site: NAME ARGUMENT -->`` in a page with what the site makes; elsewhere the comment is invisible."""

import importlib.util
import re
from collections.abc import Callable
from pathlib import Path

from sphinx.application import Sphinx

PLACE = re.compile(r'^<!-- site: (\w+) ?(.*?) -->$', re.MULTILINE)


def maker(name: str) -> Callable[..., str]:
    """The function ``markdown`` of a module of this folder, which is no package that anybody could import."""
    spec = importlib.util.spec_from_file_location(f'mmseq_site_{name}', Path(__file__).with_name(f'{name}.py'))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.markdown


def include(path: str) -> str:
    """A file of the top level, as the page."""
    return (Path(__file__).parents[2] / path).read_text(encoding='utf-8')


def fill(app: Sphinx, docname: str, source: list[str]) -> None:
    """Replace the comments of a page."""

    def made(found: re.Match[str]) -> str:
        function = include if found[1] == 'include' else maker(found[1])
        return function(*found[2].split())

    source[0] = PLACE.sub(made, source[0])


def setup(app: Sphinx) -> None:
    """Called by conf.py."""
    app.connect('source-read', fill)

"""The page: one HTML file that loads nothing, whatever the names in it are."""

import base64
import hashlib
import html
import json
from importlib import resources
from string import Template
from typing import Any

from mmseq.files import jsonable

SCRIPTS = ('dom.js', 'charts.js', 'tables.js', 'page.js')
# What would end the element that holds the data, or a line of JavaScript; in JSON these stand in strings alone.
ESCAPES = {ord(character): f'\\u{ord(character):04x}' for character in '<>&\u2028\u2029'}


def render(data: dict[str, Any]) -> str:
    """The page of some data, see :mod:`mmseq.runs.report.describe`.

    The browser is told to run and to load nothing but what is written here: the policy names the hashes of the script
    and of the style, so that no name of a class or a file becomes code.
    """
    script = '\n'.join(asset(name) for name in SCRIPTS)
    style = asset('page.css')
    policy = (
        f"default-src 'none'; img-src data:; style-src '{fingerprint(style)}'; script-src '{fingerprint(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    text = json.dumps(jsonable(data), allow_nan=False, separators=(',', ':'))
    return Template(asset('page.html')).substitute(
        policy=policy, title=html.escape(data['title']), style=style, script=script, data=text.translate(ESCAPES)
    )


def asset(name: str) -> str:
    """A file that the page is made from."""
    return (resources.files('mmseq.runs.report') / 'assets' / name).read_text(encoding='utf-8')


def fingerprint(text: str) -> str:
    """A source of a content security policy that lets this text run and no other."""
    return f'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")}'

"""Addresses without what may be secret in them: nothing that is printed, logged or written holds more.

A command, a config or an option may name a file as ``https://USER:PASSWORD@HOST/FILE?token=TOKEN``.
"""

import os
import re
from collections.abc import Mapping
from typing import Any

# Up to the quotation mark that stands before it, or to the next blank or quotation mark.
_ADDRESS = re.compile(r"""(?P<mark>['"])?\b\w[\w+.-]*://(?(mark)(?:\\.|(?!(?P=mark))[^\\\n])*|[^\s'"]*)""")


def public(address: str | os.PathLike[str]) -> str:
    """An address without what may be secret in it: user and password, query and fragment."""
    address = os.fspath(address)
    scheme, separator, rest = address.partition('://')
    if not separator:
        return address
    place, slash, path = re.split(r'[?#]', rest, maxsplit=1)[0].partition('/')
    return f'{scheme}://{place.rpartition("@")[2]}{slash}{path}'


def public_text(text: str) -> str:
    """A text, also one of Python or JSON, with all addresses in it made public."""
    # Most texts have none, and some have megabytes.
    return _ADDRESS.sub(lambda found: public(found[0]), text) if '://' in text else text


def public_values(value: Any) -> Any:
    """Nested dicts and lists with all texts in them made public."""
    if isinstance(value, str):
        return public_text(value)
    if isinstance(value, Mapping):
        return {key: public_values(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(public_values, value))
    return value

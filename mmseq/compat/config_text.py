"""Configs as text: styled once, and not at all where that takes longer than it is worth.

Cause: mmengine styles a config with yapf each time that it writes it: to the log, twice into the work dir, into every
checkpoint. That is 0.5 to 1.2 s for a config of ours and 1.3 s more per 100 classes that it names, with their colours.
Could go once mmengine keeps the text, or styles it with something faster; what it hands to yapf is indented already.
"""

import ast
import functools
from types import ModuleType
from typing import Any

from mmseq.compat.import_hooks import when_imported

# Two to three times those of our own configs; yapf takes a second for as many.
MOST_LINES = 1000
# Of one run: as it is asked for, as it is run, and some to compare with.
_KEPT = 8


def install() -> None:
    """Patch what mmengine styles configs with when it is imported; nothing is imported here."""
    when_imported('mmengine.config.config', _patch)


def _patch(module: ModuleType) -> None:
    original = getattr(module, 'FormatCode', None)
    if original is None:
        # onedl-mmengine asks yapf for it at each call, where nothing but yapf itself could be replaced.
        return

    @functools.lru_cache(maxsize=_KEPT)
    def styled(text: str, style: frozenset[tuple[str, Any]], **options: Any) -> tuple[str, bool]:
        if text.count('\n') > MOST_LINES:
            # As yapf does, refuse what is no Python: nobody could read it back.
            ast.parse(text)
            return text, False
        found: tuple[str, bool] = original(text, style_config=dict(style), **options)
        return found

    @functools.wraps(original)
    def format_code(text: str, style_config: dict[str, Any], **options: Any) -> tuple[str, bool]:
        return styled(text, frozenset(style_config.items()), **options)

    vars(module)['FormatCode'] = format_code

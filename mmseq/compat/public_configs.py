"""The text of a config, which a run logs, writes into its work dir and puts into its checkpoints, holds no secrets.

Cause: mmengine writes addresses as they are, with passwords and tokens; variables of a config's file among them, which
nothing reads.
Could go once mmengine leaves them out.
"""

import functools
from types import ModuleType
from typing import Any

from mmseq.addresses import public_text
from mmseq.compat.import_hooks import when_imported


def install() -> None:
    """Patch mmengine's Config when it is imported; nothing is imported here."""
    when_imported('mmengine.config.config', _patch)


def _patch(module: ModuleType) -> None:
    original = module.Config.pretty_text.fget

    @functools.wraps(original)
    def pretty_text(self: Any) -> str:
        return public_text(original(self))

    module.Config.pretty_text = property(pretty_text)

"""LVIS's evaluation with today's numpy.

Cause: lvis 0.5.3, the last on the package index, adds up matches as ``np.float``, which numpy 1.24 dropped.
Could go with a release of ``lvis`` that writes ``float``.
"""

from types import ModuleType
from typing import Any

from mmseq.compat.import_hooks import when_imported


def install() -> None:
    """Patch the evaluation when it is imported; nothing is imported here."""
    when_imported('lvis.eval', _patch)


def _patch(module: ModuleType) -> None:
    vars(module).update(np=WithFloat(vars(module)['np']))


class WithFloat(ModuleType):
    """numpy as one module sees it, with the name that was dropped; numpy itself stays as it is."""

    float = float

    def __init__(self, numpy: ModuleType) -> None:
        super().__init__('numpy')
        self._numpy = numpy

    def __getattr__(self, name: str) -> Any:
        return getattr(self._numpy, name)

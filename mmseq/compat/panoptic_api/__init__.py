"""A stand-in for the package `panopticapi` where it is absent.

Cause: mmdet reads and evaluates panoptic segments through `panopticapi`, which is on no package index, only in a git
repository. mmdet uses two functions, two numbers and one class of it; those are in :mod:`.quality`.

Condition that ends it: a release of `panopticapi` on the package index, or an mmdet that does without.
"""

from functools import partial
from types import ModuleType

from mmseq.compat.import_hooks import stand_in

__all__ = ['install']

# Module -> what mmdet takes from it.
CONTENTS = {
    'panopticapi': (),
    'panopticapi.utils': ('id2rgb', 'rgb2id'),
    'panopticapi.evaluation': ('OFFSET', 'VOID', 'PQStat'),
}


def install() -> None:
    """Let `import panopticapi` find the stand-in where the package is not installed; loads nothing. Idempotent."""
    for name, contents in CONTENTS.items():
        stand_in(name, partial(_fill, contents))


def _fill(contents: tuple[str, ...], module: ModuleType) -> None:
    # Here and not above: this is the first moment at which numpy is needed.
    from mmseq.compat.panoptic_api import quality

    vars(module).update({name: getattr(quality, name) for name in contents})

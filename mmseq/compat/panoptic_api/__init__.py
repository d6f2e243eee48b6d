"""A stand-in for the package `panopticapi` where it is absent.

Cause: mmdet reads and evaluates panoptic segments through `panopticapi`, which is on no package index, only in a git
repository. mmdet uses two functions, two numbers and one class of it; those are in :mod:`.quality`.

Condition that ends it: a release of `panopticapi` on the package index, or an mmdet that does without.
"""

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

__all__ = ['install']

# Module -> what mmdet takes from it.
CONTENTS = {
    'panopticapi': (),
    'panopticapi.utils': ('id2rgb', 'rgb2id'),
    'panopticapi.evaluation': ('OFFSET', 'VOID', 'PQStat'),
}


def install() -> None:
    """Let `import panopticapi` find the stand-in where the package is not installed; loads nothing. Idempotent."""
    if not any(isinstance(finder, PanopticFinder) for finder in sys.meta_path):
        sys.meta_path.append(PanopticFinder())


class PanopticFinder(MetaPathFinder):
    """Finds `panopticapi` and its two modules; meant for the end of `sys.meta_path`, so that the real one wins."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of the stand-in if `fullname` is one of the modules, else None."""
        if fullname not in CONTENTS:
            return None
        return ModuleSpec(fullname, PanopticLoader(), origin=__name__, is_package=fullname == 'panopticapi')


class PanopticLoader(Loader):
    """Fills a new module with the names that mmdet asks it for."""

    def exec_module(self, module: ModuleType) -> None:
        """Add the names."""
        # Here and not above: this is the first moment at which numpy is needed.
        from mmseq.compat.panoptic_api import quality

        vars(module).update({name: getattr(quality, name) for name in CONTENTS[module.__name__]})

"""The import hook behind `mmseq.compat.mmcv_ops.install`. Loads no third-party module by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import NoReturn

HOW_TO_COMPILE = (
    'To have it, replace mmcv-lite by a compiled mmcv: `pip uninstall mmcv-lite`, then, with a C++ compiler (and nvcc '
    'for CUDA), `pip install "mmcv>=2.0.0rc4,<2.2" --no-build-isolation`. Where torch asks for C++20, change '
    "'-std=c++17' into '-std=c++20' in the setup.py of mmcv's source archive and install from that folder."
)


class StandInFinder(MetaPathFinder):
    """Finds `mmcv._ext` and nothing else; meant for the end of `sys.meta_path`."""

    NAME = 'mmcv._ext'
    ORIGIN = 'mmseq.compat.mmcv_ops'

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of the stand-in if `fullname` is `mmcv._ext`, else None."""
        if fullname != self.NAME:
            return None
        return ModuleSpec(fullname, StandInLoader(), origin=self.ORIGIN)


class StandInLoader(Loader):
    """Fills a new module with the operators of `mmseq.compat.mmcv_ops.operators`."""

    def exec_module(self, module: ModuleType) -> None:
        """Add the operators, and a `__getattr__` that answers for all those that are missing."""
        # Here and not above: this is the first moment at which torch and torchvision are needed.
        from mmseq.compat.mmcv_ops.operators import OPERATORS

        vars(module).update(OPERATORS)
        vars(module)['__getattr__'] = missing_operator


def missing_operator(name: str) -> Callable[..., NoReturn]:
    """What `mmcv._ext.<name>` is for an operator without a stand-in: a function that raises when called.

    mmcv asks for the existence of every operator at import, also of those that are never called.

    Raises:
        AttributeError: for private and dunder names, which Python's own machinery probes for.
    """
    if name.startswith('_'):
        raise AttributeError(f'module {StandInFinder.NAME!r} has no attribute {name!r}')

    def raise_missing(*args: object, **kwargs: object) -> NoReturn:
        raise NotImplementedError(
            f'mmcv operator {name!r} is not available: mmcv is installed without its compiled extension, and the '
            f'stand-in of mmseq does not have this operator. {HOW_TO_COMPILE}'
        )

    raise_missing.__name__ = raise_missing.__qualname__ = name
    return raise_missing

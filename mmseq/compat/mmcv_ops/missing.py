"""Operators of mmcv that have no stand-in."""

from collections.abc import Callable
from typing import NoReturn

HOW_TO_COMPILE = (
    'To have it, replace mmcv-lite by a compiled mmcv: `pip uninstall mmcv-lite`, then, with a C++ compiler (and nvcc '
    'for CUDA), `pip install "mmcv>=2.0.0rc4,<2.2" --no-build-isolation`. Where torch asks for C++20, change '
    "'-std=c++17' into '-std=c++20' in the setup.py of mmcv's source archive and install from that folder. "
    'An onedl-mmcv is compiled by `pip install --force-reinstall --no-deps --no-build-isolation onedl-mmcv`.'
)


def missing_operator(name: str) -> Callable[..., NoReturn]:
    """What `mmcv._ext.<name>` is for an operator without a stand-in: a function that raises when called.

    mmcv asks for the existence of every operator at import, also of those that are never called.

    Raises:
        AttributeError: for private and dunder names, which Python's own machinery probes for.
    """
    if name.startswith('_'):
        raise AttributeError(f"module 'mmcv._ext' has no attribute {name!r}")

    def raise_missing(*args: object, **kwargs: object) -> NoReturn:
        raise NotImplementedError(
            f'mmcv operator {name!r} is not available: mmcv is installed without its compiled extension, and the '
            f'stand-in of mmseq does not have this operator. {HOW_TO_COMPILE}'
        )

    raise_missing.__name__ = raise_missing.__qualname__ = name
    return raise_missing

"""mmseq: linear-cost backbones for dense prediction on OpenMMLab.

Importing the package places the hooks of :mod:`mmseq.compat` and nothing else; mmdet and mmseg are loaded when a
config first needs them, and the names of :mod:`mmseq.api` when one of them is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mmseq import compat

if TYPE_CHECKING:
    from mmseq.api import (
        Result,
        Run,
        TrainedModel,
        create_backbone,
        create_model,
        evaluate,
        import_data,
        load,
        train,
    )

__version__ = '0.1.0'
__all__ = [
    'Result',
    'Run',
    'TrainedModel',
    'create_backbone',
    'create_model',
    'evaluate',
    'import_data',
    'load',
    'train',
]

compat.install()


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module('mmseq.api'), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

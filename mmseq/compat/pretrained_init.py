"""Weights that a config's ``init_cfg`` names for upstream's modules, loaded with an account.

Cause: mmengine 0.10 loads whatever fits of them, so that the file of another model leaves a warning among hundreds
of lines and the training begins with random weights. Backbones of this package have a loader of their own.
Could go once mmengine's PretrainedInit raises on what does not fit.
"""

from types import ModuleType
from typing import Any

from mmseq.compat.import_hooks import when_imported


def install() -> None:
    """Let mmengine's PretrainedInit count what it loads. Calling it again does nothing."""
    when_imported('mmengine.model.weight_init', _mend)


def _mend(module: ModuleType) -> None:
    module.PretrainedInit.__call__ = _load


def _load(self: Any, module: Any) -> None:
    """Load the checkpoint: a whole model takes its own alone, one of its modules also a file that has a bit more.

    Raises:
        InputError: it does not fit.
    """
    from mmengine.logging import print_log
    from mmengine.model import BaseModel, update_init_info
    from mmengine.runner.checkpoint import CheckpointLoader

    from mmseq.addresses import public
    from mmseq.checkpoints.whole import load_part, load_whole

    payload = CheckpointLoader.load_checkpoint(self.checkpoint, 'cpu')
    load = load_whole if isinstance(module, BaseModel) else load_part
    account = load(module, payload, public(self.checkpoint), self.prefix)
    print_log(f'{type(module).__name__}: {account}', logger='current')
    if hasattr(module, '_params_init_info'):
        update_init_info(module, init_info=f'PretrainedInit: load from {public(self.checkpoint)}')

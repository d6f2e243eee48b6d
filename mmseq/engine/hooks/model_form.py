"""The form in which a model computes: compiled, or with the channels innermost. What it computes stays the same."""

from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmseq.engine.bare_model import bare_model
from mmseq.errors import InputError
from mmseq.registry import HOOKS


@HOOKS.register_module()
class CompileHook(Hook):
    """Compile the backbone in place, for training and inference; names in checkpoints stay as they are.

    mmengine's own ``compile`` takes the whole training step, with heads and losses whose shapes follow the data. The
    compiled code is kept in ``TORCHINDUCTOR_CACHE_DIR`` and found there by later runs.

    Args:
        backend: torch's name of a compiler.
        mode: torch's, for example ``max-autotune``.
        dynamic: compile for images of all shapes at once, where detectors see many. Vision-LSTM cannot be compiled so.
    """

    def __init__(self, backend: str = 'inductor', mode: str | None = None, dynamic: bool = False) -> None:
        self.options: dict[str, Any] = dict(backend=backend, mode=mode, dynamic=dynamic)

    def before_run(self, runner: Runner) -> None:
        """Compile; the work is done when the first images come."""
        model = bare_model(runner.model)
        if not hasattr(model, 'backbone'):
            raise InputError(f'--compile: {type(model).__name__} has no backbone')
        model.backbone.compile(**self.options)
        runner.logger.info('the backbone is compiled during training; the first image of each shape takes longer')


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Lay out 4-D weights, and with them the maps of convolutions, with the channels innermost.

    The backbones compute so by themselves; necks and heads follow.
    """

    def before_run(self, runner: Runner) -> None:
        """Convert the weights; values stay."""
        bare_model(runner.model).to(memory_format=torch.channels_last)

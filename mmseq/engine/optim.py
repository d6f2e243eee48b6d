"""Optimiser wrappers that upstream lacks."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper
from torch import nn
from torch.optim import Optimizer

from mmseq.compat.bfloat16 import bfloat16_problem
from mmseq.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class Bfloat16OptimWrapper(OptimWrapper):
    """Forward passes under bfloat16 autocast on the device of the model, if it multiplies bfloat16.

    bfloat16 has float32's range, so no loss scaling is needed; mmengine's AmpOptimWrapper scales and refuses the CPU.
    A device that imitates bfloat16 would be slower: there the passes are in float32, which the log says.

    Args:
        optimizer: of the model's parameters.
        accumulative_counts: iterations of an update.
        clip_grad: how gradients are clipped, as mmengine's OptimWrapper takes it.
        force: bfloat16 on any device.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        accumulative_counts: int = 1,
        clip_grad: dict[str, Any] | None = None,
        force: bool = False,
    ) -> None:
        super().__init__(optimizer, accumulative_counts, clip_grad)
        self.device = optimizer.param_groups[0]['params'][0].device.type
        problem = None if force else bfloat16_problem(self.device)
        self.low = problem is None
        if problem:
            print_log(f'--amp: {problem}; training in float32, which is faster (--amp force insists)', 'current')

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocast around the forward pass of one training iteration."""
        with super().optim_context(model), torch.autocast(self.device, torch.bfloat16) if self.low else nullcontext():
            yield

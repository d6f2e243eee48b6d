"""Names the parameters that the loss does not reach."""

from collections import defaultdict
from functools import partial
from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn

from mmseq.engine.bare_model import bare_model
from mmseq.registry import HOOKS


@HOOKS.register_module()
class UnusedParametersHook(Hook):
    """Warn once, after the first iteration, about parameters that require a gradient but got none.

    Such parameters are not trained, and under DistributedDataParallel they end the run with an error that names
    none of them. In distributed training a parameter counts as used if any rank used it. The first iteration alone is
    watched, so what is used only now and then may be named too.
    """

    # before the error that DistributedDataParallel raises, and before anything else reacts to the iteration
    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self._done = False
        self._handles: list[Any] = []
        self._reached: set[str] = set()

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Watch every parameter during the first iteration."""
        if self._done or self._handles:
            return
        # gradients are gone once the optimizer wrapper has stepped, so their arrival is what is recorded
        for name, parameter in _trainable(runner.model):
            hook = partial(self._arrived, name)
            self._handles.append(parameter.register_post_accumulate_grad_hook(hook))

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        """Stop watching and report."""
        if self._done:
            return
        self._done = True
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

        names = [name for name, _ in _trainable(runner.model)]
        reached = torch.tensor([name in self._reached for name in names], dtype=torch.int32)
        all_reduce(reached, op='max')
        if unused := [name for name, used in zip(names, reached.tolist()) if not used]:
            runner.logger.warning(describe(unused, len(names)))

    def _arrived(self, name: str, parameter: torch.Tensor) -> None:
        self._reached.add(name)


def describe(unused: list[str], total: int) -> str:
    """The warning text: parameter names grouped by the module that holds them."""
    modules: dict[str, list[str]] = defaultdict(list)
    for name in unused:
        module, _, parameter = name.rpartition('.')
        modules[module or '(model)'].append(parameter)
    lines = [f'  {module}: {", ".join(parameters)}' for module, parameters in modules.items()]
    return '\n'.join(
        [
            f'{len(unused)} of {total} parameters that require a gradient got none in the first iteration, so the '
            'loss does not depend on them. Remove or freeze them, or set find_unused_parameters=True for distributed '
            'training:',
            *lines,
        ]
    )


def _trainable(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return [(name, parameter) for name, parameter in bare_model(model).named_parameters() if parameter.requires_grad]

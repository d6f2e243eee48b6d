"""Which operators of a run have no deterministic form on its GPU."""

import re
import warnings
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmseq.registry import HOOKS

# torch's warning; it is an error where warn_only is off.
OPERATOR = re.compile(r'^(\w+) does not have a deterministic implementation')


@HOOKS.register_module()
class DeterminismHook(Hook):
    """Name each operator that gives other bits when it is repeated, once, instead of ending the run at the first.

    NLL loss and interpolation, which every segmentor has, and RoIAlign's backward pass are of that kind on CUDA. On the
    CPU all operators of the models repeat, and one that does not ends the run.
    """

    def __init__(self) -> None:
        self.operators: list[str] = []

    def before_run(self, runner: Runner) -> None:
        """Called after the runner has switched to deterministic algorithms."""
        device = next(runner.model.parameters()).device.type
        torch.use_deterministic_algorithms(True, warn_only=device != 'cpu')
        self._show = warnings.showwarning
        warnings.showwarning = self._collect(runner)

    def _collect(self, runner: Runner) -> Any:
        def show(message: Warning | str, *where: Any, **kwargs: Any) -> None:
            found = OPERATOR.match(str(message))
            if not found:
                self._show(message, *where, **kwargs)
            elif found[1] not in self.operators:
                self.operators.append(found[1])
                runner.logger.warning(f'--deterministic: {found[1]} has no deterministic form on this device')

        return show

    def after_run(self, runner: Runner) -> None:
        """Say what the digest of the weights is worth."""
        warnings.showwarning = self._show
        if self.operators:
            runner.logger.warning(
                f'--deterministic: a repeat of this run may end with other bits, because of {", ".join(self.operators)}'
            )

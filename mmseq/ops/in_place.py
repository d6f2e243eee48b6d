"""Steps that write into memory which is no longer needed, where no gradient asks for it.

On a CPU the pages of a new tensor cost as much as an activation or a sum itself.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def gelu(x: Tensor, spare: bool) -> Tensor:
    """The exact GELU; without gradients in the memory of ``x``, if that is ``spare``: nobody else holds it."""
    return torch.ops.aten.gelu_(x) if spare and not torch.is_grad_enabled() else F.gelu(x)


def add_branch(x: Tensor, branch: Tensor, spare: bool) -> Tensor:
    """x + branch; without gradients in the memory of ``branch``, if that is ``spare`` and holds the sum.

    With gradients that would cost more than it saves: to autograd a linear map of four axes answers with a view, and a
    view that is changed in place gets its gradient by way of a copy.
    """
    if spare and not torch.is_grad_enabled() and branch.dtype == torch.promote_types(x.dtype, branch.dtype):
        return branch.add_(x)
    return x + branch

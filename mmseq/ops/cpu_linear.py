"""Linear maps on the CPU with their neighbours in one pass, for code that makes its own gradients."""

import torch
from torch import Tensor
from torch.nn import functional as F

# oneDNN's product with bias, activation and sum as part of it, which torch's compiler uses too; F.linear copies the
# bias into the result first, and that copy and the pages of a new tensor cost up to a third of a product.
_POINTWISE = getattr(torch.ops.mkldnn, '_linear_pointwise', None) if torch.backends.mkldnn.is_available() else None


def cpu_linear(x: Tensor, weight: Tensor, bias: Tensor, gelu: bool = False, add: Tensor | None = None) -> Tensor:
    """A linear map without gradients: (..., C) to (..., D).

    Args:
        x: on the CPU.
        weight: (D, C).
        bias: (D,).
        gelu: pass the result through the exact GELU.
        add: (..., D), added to the result; not with ``gelu``.
    """
    if _POINTWISE is None or x.dtype != torch.float32:
        y = F.linear(x, weight, bias)
        if gelu:
            return torch.ops.aten.gelu_(y)
        return y if add is None else y.add_(add)
    if add is not None:
        return _POINTWISE.binary(x, add, weight, bias, 'add')
    return _POINTWISE(x, weight, bias, 'gelu' if gelu else 'none', [], 'none')

"""The recurrence as it is written down; slow on purpose, the judge of every other backend."""

import torch
from torch import Tensor
from torch.nn import functional as F

from mmseq.ops.autocast import without_autocast

EPS = 1e-6
# exp of it is still far from float32's largest, 3.4e38; a read over so small a memory is 0 either way.
LARGEST_EXPONENT = 80.0


def mlstm_reference(q: Tensor, k: Tensor, v: Tensor, igate: Tensor, fgate: Tensor) -> Tensor:
    """See :func:`mmseq.ops.mlstm`."""
    with without_autocast(q):
        dtype = torch.promote_types(q.dtype, torch.float32)
        q, k, v, igate, fgate = (x.to(dtype) for x in (q, k, v, igate, fgate))
        q = q / q.shape[-1] ** 0.5
        batch, heads, length, d = q.shape
        memory = q.new_zeros(batch, heads, d, d)
        norm = q.new_zeros(batch, heads, d)
        m = q.new_full((batch, heads), -torch.inf)
        outputs = []
        for t in range(length):
            kept = F.logsigmoid(fgate[:, :, t]) + m
            m = torch.maximum(kept, igate[:, :, t])
            forget, write = (kept - m).exp()[..., None], (igate[:, :, t] - m).exp()[..., None]
            memory = forget[..., None] * memory + (write * k[:, :, t])[..., :, None] * v[:, :, t, None, :]
            norm = forget * norm + write * k[:, :, t]
            read = (q[:, :, t, None, :] @ memory)[:, :, 0]
            weight = (q[:, :, t] * norm).sum(-1)
            outputs.append(read / (torch.maximum(weight.abs(), (-m).exp()) + EPS)[..., None])
        return torch.stack(outputs, dim=2)

"""The token mixer of VSequencer (arXiv 2205.01972)."""

import torch
from torch import Tensor, nn

from mmseq import ops
from mmseq.layers.basic import say_modules, untouched
from mmseq.layers.recurrent2d import flat_weights, in_weights_dtype, run_module


class Recurrent1D(nn.Module):
    """A bidirectional LSTM over all cells, read row by row: (B, H, W, C) to (B, H, W, 2 hidden).

    Args:
        dim: C.
        hidden: hidden channels per direction.
    """

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.rnn = nn.LSTM(dim, hidden, batch_first=True, bidirectional=True)

    # A compiler would write the recurrence out step by step.
    @torch.compiler.disable
    def forward(self, x: Tensor) -> Tensor:
        batch, height, width, channels = x.shape
        tokens = x.reshape(batch, height * width, channels)
        if untouched(self.rnn, nn.LSTM):
            y = ops.bilstm1d(tokens, flat_weights(self.rnn))
        else:
            say_modules('bilstm1d', x)
            y = in_weights_dtype(self.rnn, lambda tokens: run_module(self.rnn, tokens), tokens)
        return y.unflatten(1, (height, width))

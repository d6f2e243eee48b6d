"""The token mixer of Sequencer2D (arXiv 2205.01972, section 3.2) and its ablations (table 4 and appendix)."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from mmseq import ops
from mmseq.layers.basic import say_modules, untouched, weight_dtype
from mmseq.ops.autocast import without_autocast
from mmseq.ops.bilstm2d.precision import asked_dtype, autocasts

CELLS: Mapping[str, Callable[..., nn.RNNBase]] = {'lstm': nn.LSTM, 'gru': nn.GRU, 'rnn': nn.RNN}
UNIONS = ('cat', 'add', 'vertical', 'horizontal')


class Recurrent2D(nn.Module):
    """Recurrent scans over columns and rows, joined, then fused by a linear map: (B, H, W, C) to (B, H, W, C).

    Args:
        dim: C.
        hidden: hidden channels per direction.
        cell: ``lstm`` (the paper's model), ``gru`` or ``rnn``.
        bidirectional: scan both ways along each axis.
        union: ``cat`` joins the axes by concatenation, ``add`` by sum; ``vertical`` and ``horizontal`` keep one axis.
        with_fc: fuse with a linear map; without it the joined channels must be ``dim``.

    Raises:
        ValueError: an unknown cell or union, or channels that do not fit without ``with_fc``.
    """

    def __init__(
        self,
        dim: int,
        hidden: int,
        cell: str = 'lstm',
        bidirectional: bool = True,
        union: str = 'cat',
        with_fc: bool = True,
    ) -> None:
        super().__init__()
        if cell not in CELLS or union not in UNIONS:
            raise ValueError(f'cell={cell!r}, union={union!r}: expected one of {tuple(CELLS)} and one of {UNIONS}')
        joined = hidden * (2 if bidirectional else 1) * (2 if union == 'cat' else 1)
        if not with_fc and joined != dim:
            raise ValueError(f'with_fc=False needs {dim} joined channels, but hidden={hidden} gives {joined}')
        self.union = union
        options = dict(batch_first=True, bidirectional=bidirectional)
        if union != 'horizontal':
            self.rnn_v = CELLS[cell](dim, hidden, **options)
        if union != 'vertical':
            self.rnn_h = CELLS[cell](dim, hidden, **options)
        self.fc = nn.Linear(joined, dim) if with_fc else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.scan(x))

    # A compiler would write the recurrence out step by step.
    @torch.compiler.disable
    def scan(self, x: Tensor) -> Tensor:
        """The joined scans, (B, H, W, joined channels)."""
        if self.union == 'cat':
            if untouched(self.rnn_v, nn.LSTM) and untouched(self.rnn_h, nn.LSTM):
                return ops.bilstm2d(x, flat_weights(self.rnn_v), flat_weights(self.rnn_h))
            say_modules('bilstm2d', x)
        return in_weights_dtype(self, self.scan_modules, x)

    def scan_modules(self, x: Tensor) -> Tensor:
        """The joined scans of torch's own modules."""
        batch, height, width, channels = x.shape
        scans = []
        if self.union != 'horizontal':
            columns = x.transpose(1, 2).reshape(batch * width, height, channels)
            scans.append(run_module(self.rnn_v, columns).unflatten(0, (batch, width)).transpose(1, 2))
        if self.union != 'vertical':
            rows = x.reshape(batch * height, width, channels)
            scans.append(run_module(self.rnn_h, rows).unflatten(0, (batch, height)))
        return torch.cat(scans, dim=-1) if self.union == 'cat' else sum(scans[1:], scans[0])


def run_module(rnn: nn.Module, x: Tensor) -> Tensor:
    """The output of a recurrent module, which gives gradients in eval mode too.

    cuDNN keeps what a gradient needs in training mode alone, which changes no value where there is no dropout.
    """
    if rnn.training or not torch.is_grad_enabled() or not isinstance(rnn, nn.RNNBase) or rnn.dropout:
        return rnn(x)[0]
    rnn.training = True
    try:
        return rnn(x)[0]
    finally:
        rnn.training = False


def in_weights_dtype(rnn: nn.Module, run: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Run recurrent modules without autocast, which would hand them to kernels that may not exist.

    Args:
        rnn: whose weights' dtype it is.
        run: what calls them.
        x: in any dtype; the answer has the one that autocast asks for, if it is on.
    """
    if not autocasts(x):
        return run(x)
    answer = asked_dtype(x)
    with without_autocast(x):
        return run(x.to(weight_dtype(rnn))).to(answer)


def flat_weights(rnn: nn.RNNBase) -> list[Tensor]:
    """The weights of a one-layer RNN in the order that the operators take, read by name so that swaps are seen."""
    return [getattr(rnn, name) for name in rnn._flat_weights_names]

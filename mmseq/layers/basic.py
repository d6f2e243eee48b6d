"""Small channels-last modules that the families share."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules import module as torch_module
from torchvision.ops import StochasticDepth

from mmseq.ops.dispatch import say
from mmseq.ops.in_place import gelu
from mmseq.ops.symbolic import eager_on_cpu, exporting


class Mlp(nn.Module):
    """Two linear maps with a GELU between, on the last axis: (..., dim) to (..., dim)."""

    def __init__(self, dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden_dim)
        self.fc2 = nn.Linear(hidden_dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(gelu(self.fc1(x), spare=untouched(self.fc1, nn.Linear)))


def untouched(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether a module is just a ``kind``: its weights may be read past its call, and nothing keeps its output.

    Adapters, quantisation and parametrizations put another class in its place, offloading another ``forward``; hooks,
    which pruning uses as well, want the call, and may keep what they see.
    """
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
    # The exporter's own forward of recurrent layers is of the same weights.
    replaced = 'forward' in module.__dict__ and not exporting()
    return type(module) is kind and not replaced and not any(hooks) and not torch_module._has_any_global_hook()


def spare(mixer: nn.Module, kind: type[nn.Module], last: str, drop_path: nn.Module) -> bool:
    """Whether nobody but the caller holds what drop path passes on of a mixer, whose linear map ``last`` made it."""
    mine = untouched(mixer, kind) and untouched(drop_path, DropPath)
    return mine and untouched(getattr(mixer, last), nn.Linear)


def weight_dtype(module: nn.Module) -> torch.dtype:
    """Of a module's first parameter; float32 of quantised modules, which have none."""
    return next((parameter.dtype for parameter in module.parameters()), torch.float32)


def say_modules(operator: str, x: Tensor) -> None:
    """Log, the first time, that modules are called in an operator's place."""
    say(operator, 'modules', x.device.type, 'one of them has hooks, or is of another class')


class DropPath(StochasticDepth):
    """Stochastic depth (arXiv 1603.09382): in training an image loses the whole branch with probability ``p``, and the
    branches that stay are divided by 1 - ``p``: (B, ...) to the same.

    Args:
        p: between 0 and 1.
    """

    def __init__(self, p: float) -> None:
        super().__init__(p, mode='row')
        # A number is part of compiled code and would make every block a variant of its own; a tensor is an input.
        self.keep = torch.tensor(1.0 - p, device='cpu')

    def forward(self, x: Tensor) -> Tensor:
        if not torch.compiler.is_compiling():
            return super().forward(x)
        if not self.training:
            return x
        stays = torch.rand(len(x), *(1,) * (x.dim() - 1), device=x.device) < self.keep
        return x * torch.where(stays, 1 / self.keep, 0).to(x.dtype)

    def factors(self, x: Tensor) -> Tensor | None:
        """What the branch of each image of x (B, ...) is multiplied by, (B,); None where no image loses its branch."""
        if not self.training or (not torch.compiler.is_compiling() and not self.p):
            return None
        return self(x.new_ones(len(x)))


class PatchConv(nn.Conv2d):
    """A convolution whose stride is its kernel: (B, H, W, C_in) to (B, H / patch, W / patch, C_out).

    Args:
        in_channels: C_in.
        out_channels: C_out.
        patch: pixels or cells per side; H and W are multiples of it.
        bias: whether to add one.

    Channels stay last: the permuted views are what torch calls the channels_last memory format, so nothing is copied.
    """

    def __init__(self, in_channels: int, out_channels: int, patch: int, bias: bool = True) -> None:
        super().__init__(in_channels, out_channels, kernel_size=patch, stride=patch, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        if self.kernel_size == (1, 1):
            return F.linear(x, self.weight.flatten(1), self.bias)
        if torch.is_grad_enabled() and eager_on_cpu(x):
            # The gradients of one product take less time than those of a convolution.
            batch, height, width, channels = x.shape
            patch = self.kernel_size[0]
            cells = (height // patch, width // patch)
            patches = x.reshape(batch, cells[0], patch, cells[1], patch, channels).transpose(2, 3)
            return F.linear(patches.flatten(3), self.weight.permute(0, 2, 3, 1).flatten(1), self.bias)
        return super().forward(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


def drop_path_ramp(rate: float, depths: tuple[int, ...]) -> list[list[float]]:
    """Drop-path rates, linear from 0 in the first block of the network to ``rate`` in its last, grouped by stage."""
    # On the CPU whatever the default device is: models are also built on the meta device, to be counted.
    ramp = torch.linspace(0, rate, sum(depths), dtype=torch.float64, device='cpu').tolist()
    groups = []
    for depth in depths:
        groups.append(ramp[:depth])
        ramp = ramp[depth:]
    return groups

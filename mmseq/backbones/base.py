"""The contract of every backbone: geometry, freezing, layer depth and strict loading in one place.

Shapes: B images, H x W pixels or cells, C channels. Features are channels-last (B, H, W, C) inside a backbone and
leave it as (B, C, H, W) views of that memory.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, TypeVar

from mmengine.logging import print_log
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch import _dynamo as dynamo
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from mmseq import ops
from mmseq.checkpoints import FAMILIES, load_backbone, pretrained
from mmseq.checkpoints.rules import Family
from mmseq.layers import DropPath, drop_path_ramp
from mmseq.ops.differentiable import transformed
from mmseq.ops.dispatch import say
from mmseq.ops.symbolic import ceil_div, exporting

# What a compiler records has no place for a log: it calls this while it records. Marked here, since the operators alone
# shall be quick to import.
dynamo.assume_constant_result(say)

Spec = TypeVar('Spec')
MAX_COMPILED = 64
"""Variants of a family's block that are compiled: stages, image shapes, training and inference."""


def choose_arch(
    family: str, arch: str | Mapping[str, Any], archs: Mapping[str, Spec], spec: Callable[..., Spec]
) -> Spec:
    """The row of an architecture table, or one of the caller's own.

    Args:
        family: the backbone's name, for the message.
        arch: a name of ``archs``, or a dict with the fields of ``spec``.
        archs: the family's table.
        spec: its dataclass of a row.

    Raises:
        ValueError: no such name; the message has the nearest ones and all.
        TypeError: an unknown field in a dict.
    """
    if not isinstance(arch, str):
        return spec(**arch)
    if arch not in archs:
        near = get_close_matches(arch, archs, n=1)
        hint = f'did you mean {near[0]!r}? ' if near else ''
        raise ValueError(f'unknown {family} arch {arch!r}: {hint}choose one of {", ".join(archs)} or give a dict')
    return archs[arch]


class Stage(nn.Module):
    """What joins a stage to the one before (nothing before the first), and the stage's blocks."""

    def __init__(self, downsample: nn.Module, blocks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.downsample = downsample
        self.blocks = nn.ModuleList(blocks)


class Backbone(BaseModule):
    """Base class of the families.

    A family names its ``family`` (the key tables in :mod:`mmseq.checkpoints`) and ``input_conv``, calls
    ``super().__init__`` with the geometry of its stages, builds ``self.stem``, which takes (B, H, W, C), and
    ``self.stages``, a ModuleList of one :class:`Stage` per *built* stage (by :meth:`build_stages`, if every depth is
    one of blocks), and calls :meth:`build_out_norms`.

    Args:
        dims: channels of every stage of the architecture.
        depths: blocks of every stage.
        strides: pixels per cell after every stage.
        out_indices: the stages whose features are returned, ascending. Stages after the last are not built.
        out_strides: strides of the returned maps; None keeps the stages' own. Resampling has no parameters.
        out_norm: give each returned level a norm of its own; the last stage's is the checkpoint's final norm.
        in_channels: channels of the images.
        frozen_stages: -1 trains everything, 0 freezes the stem, k the stem and the first k stages.
        with_cp: recompute each block's activations in the backward pass instead of keeping them.
        init_cfg: ``dict(type='Pretrained', checkpoint=FILE)``, or a list of it, loads strictly a file of any known
            layout; ``prefix=NAME`` takes one of several networks in it.

    Raises:
        ValueError: indices, strides or stages that do not fit the architecture.
    """

    family: str
    input_conv = 'stem.weight'
    """The weight that sees the images; loading fits it to ``in_channels``."""
    position: str | None = None
    """The position embedding; loading fits it to the model's grid."""
    native_patch: int | None = None
    """The patch size of the arch if the caller asked for another one; only then does loading resize the kernel."""
    # mmengine's, which has no types.
    _is_init: bool

    def __init__(
        self,
        *,
        dims: Sequence[int],
        depths: Sequence[int],
        strides: Sequence[int],
        out_indices: Sequence[int],
        out_strides: Sequence[int] | None,
        out_norm: bool,
        in_channels: int,
        frozen_stages: int,
        with_cp: bool,
        init_cfg: dict[str, Any] | None,
    ) -> None:
        super().__init__(init_cfg)
        self.out_indices = tuple(out_indices)
        if not self.out_indices or list(self.out_indices) != sorted({*self.out_indices} & {*range(len(dims))}):
            raise ValueError(f'out_indices={self.out_indices}: expected ascending stages of 0..{len(dims) - 1}')
        built = self.out_indices[-1] + 1
        self.num_stages = len(dims)
        self.all_depths = tuple(depths)
        self.dims, self.depths, self.strides = tuple(dims[:built]), tuple(depths[:built]), tuple(strides[:built])
        self.in_channels = in_channels
        self.out_norm = out_norm
        self.with_cp = with_cp
        self.out_channels = tuple(dims[i] for i in self.out_indices)
        self.native_strides = tuple(strides[i] for i in self.out_indices)
        self.out_strides = tuple(out_strides) if out_strides is not None else self.native_strides
        if len(self.out_strides) != len(self.out_indices) or min(self.out_strides) < 1:
            raise ValueError(f'out_strides={self.out_strides}: expected one per out_indices={self.out_indices}')
        if not -1 <= frozen_stages <= built:
            raise ValueError(f'frozen_stages={frozen_stages}: expected -1 to {built}, the number of built stages')
        self.frozen_stages = frozen_stages
        self.size_divisor = math.lcm(*self.strides)
        self._said_misaligned = False

    def build_stages(
        self,
        drop_path_rate: float,
        join: Callable[[int], nn.Module],
        block: Callable[[int, float], nn.Module],
    ) -> None:
        """Create ``self.stages``, each of its depth.

        Args:
            drop_path_rate: of the last block of the architecture; earlier ones ramp linearly from 0.
            join: from a stage, 1 or higher, to what joins it to the one before.
            block: from a stage and a drop-path rate to one of its blocks.
        """
        rates = drop_path_ramp(drop_path_rate, self.all_depths)
        self.stages = nn.ModuleList(
            Stage(join(i) if i else nn.Identity(), [block(i, rate) for rate in rates[i]])
            for i in range(len(self.depths))
        )

    def build_out_norms(self, norm: Callable[[int], nn.Module]) -> None:
        """Create ``self.norms``, one per returned level, keyed by its stage, if ``out_norm`` asks for them."""
        levels = zip(self.out_indices, self.out_channels) if self.out_norm else ()
        self.norms = nn.ModuleDict({str(i): norm(channels) for i, channels in levels})

    def forward_stages(self, images: Tensor) -> Iterator[Tensor]:
        """Yield (B, H / s, W / s, C) of each built stage; H and W of the images are multiples of ``size_divisor``."""
        x = self.stem(images.permute(0, 2, 3, 1))
        # To mypy what an nn.ModuleList holds is no more than modules.
        stages: Iterable[Any] = self.stages
        for stage in stages:
            x = stage.downsample(x)
            for block in stage.blocks:
                x = self.run_block(block, x)
            yield x

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(B, in_channels, H, W) to one (B, C_i, ceil(H / s_i), ceil(W / s_i)) per entry of ``out_indices``."""
        stages = self.stage_maps(images)
        height, width = images.shape[2:]
        self._say_misaligned(height, width)
        return tuple(self._level(stages[i], n, height, width) for n, i in enumerate(self.out_indices))

    def stage_maps(self, images: Tensor) -> list[Tensor]:
        """(B, in_channels, H, W), padded below and to the right, to (B, h, w, C) of each built stage, without norms."""
        if images.dim() != 4 or images.shape[1] != self.in_channels:
            raise ValueError(
                f'{type(self).__name__} takes (B, {self.in_channels}, H, W), got {tuple(images.shape)}; '
                'set in_channels, mean and std for other images'
            )
        pad_h, pad_w = (ceil_div(n, self.size_divisor) * self.size_divisor - n for n in images.shape[2:])
        if exporting() or pad_h or pad_w:
            images = F.pad(images, (0, pad_w, 0, pad_h))
        return list(self.forward_stages(images))

    def _level(self, x: Tensor, n: int, height: int, width: int) -> Tensor:
        if self.out_norm:
            x = self.norms[str(self.out_indices[n])](x)
        stride = self.out_strides[n]
        size = (ceil_div(height, stride), ceil_div(width, stride))
        return ops.resample2d(x, self.native_strides[n], stride, size).permute(0, 3, 1, 2)

    def _say_misaligned(self, height: int, width: int) -> None:
        # Heads such as UPerHead stretch the maps over the image, which is exact only if the maps end where it does.
        stride = max(self.out_strides)
        if self.training and not self._said_misaligned and (height % stride or width % stride):
            self._said_misaligned = True
            print_log(
                f'{type(self).__name__}: {height} x {width} px is no multiple of stride {stride}, so the maps reach '
                f'beyond the image; heads that stretch them over it are off at the lower right border. '
                f'data_preprocessor size_divisor={stride} (pad_size_divisor in mmdet), or a size that is a multiple, '
                'makes them meet.',
                logger='current',
            )

    def run_block(self, block: nn.Module, x: Tensor) -> Tensor:
        """One block, with its activations recomputed in the backward pass if ``with_cp`` is set."""
        # torch.func knows no checkpoints.
        if self.with_cp and self.training and x.requires_grad and not transformed():
            return checkpoint(block, x, use_reentrant=False)
        return block(x)

    def compile(self, **options: Any) -> None:
        """Compile block by block, in place: equal blocks share their code, which then takes seconds instead of minutes.

        Args:
            options: of torch.compile. With ``dynamic=False`` each shape of the images is compiled anew; after
                ``MAX_COMPILED`` variants of a block torch goes on without compiling.
        """
        # torch's own 8 are used up by four stages in training and in evaluation. torch 2.6 has it by an older name.
        limit = 'recompile_limit' if hasattr(dynamo.config, 'recompile_limit') else 'cache_size_limit'
        setattr(dynamo.config, limit, max(getattr(dynamo.config, limit), MAX_COMPILED))
        for block in self.blocks():
            block.compile(**options)

    def blocks(self) -> list[nn.Module]:
        """The blocks of all built stages."""
        stages: Iterable[Any] = self.stages
        return [block for stage in stages for block in stage.blocks]

    def frozen_modules(self) -> list[nn.Module]:
        """The modules that ``frozen_stages`` keeps as they are."""
        if self.frozen_stages < 0:
            return []
        modules = [self.stem, *self.stages[: self.frozen_stages]]
        return modules + [self.norms[str(i)] for i in range(self.frozen_stages) if str(i) in self.norms]

    def freeze(self) -> None:
        """Stop the gradients of the frozen modules' parameters and their drop path; called by the constructor.

        Nothing is put into eval mode except drop path: cuDNN refuses an LSTM's backward pass in eval mode.
        """
        for module in self.frozen_modules():
            module.requires_grad_(False)
            for part in module.modules():
                if isinstance(part, DropPath):
                    part.eval()

    def train(self, mode: bool = True) -> 'Backbone':
        """Set the mode and return self; frozen modules stay frozen."""
        super().train(mode)
        self.freeze()
        return self

    def key_tables(self) -> Family:
        """How the names in files of weights become this model's."""
        return FAMILIES[self.family]

    def translated(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """A file's tensors, in names that the key tables know."""
        return tensors

    def init_weights(self) -> None:
        """Load ``init_cfg``'s checkpoint strictly, once; without one the constructor's initialisation stands.

        Raises:
            InputError: ``init_cfg`` is something else, the file cannot be had, or a tensor is left unexplained.
        """
        if self._is_init:
            return
        if source := pretrained(self.init_cfg):
            report = load_backbone(self, *source)
            print_log(f'{type(self).__name__}: {report}', logger='current')
        self._is_init = True

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Depth of a parameter for layer-wise learning-rate decay.

        Args:
            param_name: the parameter's name in the whole model.
            prefix: what stands before the backbone's own name in it, for example ``backbone.``.

        Returns:
            The depth, 0 for the stem to ``num_layers - 1`` for the output norms, and ``num_layers``.

        Raises:
            ValueError: the name has another prefix.
        """
        if not param_name.startswith(prefix):
            raise ValueError(f'{param_name!r} does not begin with {prefix!r}')
        layers = sum(self.depths) + 2
        parts = param_name[len(prefix) :].split('.')
        if parts[0] == 'stages':
            block = int(parts[3]) if parts[2] == 'blocks' else 0
            return 1 + sum(self.depths[: int(parts[1])]) + block, layers
        return (layers - 1 if parts[0] == 'norms' else 0), layers

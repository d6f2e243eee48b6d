"""A classifier over one of our backbones: the head of its authors, and the methods that timm's models have.

Shapes: B images, H x W cells, C channels, K classes.

    images (B, 3, H, W)
      backbone    all stages, and the norm of the last                      (B, H, W, C)
      pool        mean of all cells; of Vision-LSTM the first and the last cell, as mean (v1) or side by side (v2)
      head        dropout, and a linear map                                 (B, K)
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmseq import ops
from mmseq.backbones import Sequencer2D, ShiftViT, VisionLSTM, VSequencer
from mmseq.backbones.base import Backbone
from mmseq.checkpoints.load import describe
from mmseq.checkpoints.rules import place_blocks, rename
from mmseq.errors import InputError
from mmseq.ops.symbolic import ceil_div

FAMILIES: Mapping[str, type[Backbone]] = {
    'sequencer2d': Sequencer2D,
    'shiftvit': ShiftViT,
    'vil': VisionLSTM,
    'vsequencer': VSequencer,
}
"""The backbones by the names that classifiers have."""
# Deviation of the head's initial weights, as the authors have it, and most of timm's models.
HEAD_STD = {'sequencer2d': 0.0, 'vsequencer': 0.0, 'shiftvit': 0.02, 'vision_lstm': 2e-5, 'timm': 0.02}


class Classifier(nn.Module):
    """Logits of images of any size from 32 px: (B, in_channels, H, W) to (B, K).

    Args:
        backbone: one of ours, or of timm's behind the same contract, with its last stage and norm alone, as
            :func:`build_classifier` makes it.
        num_classes: K; 0 gives the pooled features (B, C), or (B, 2 C) of Vision-LSTM's second version.
        drop_rate: dropout before the linear map.
        global_pool: ``avg`` for the authors' pooling; empty for none, which leaves the map (B, H, W, C).
        out_strides: of what :meth:`forward_intermediates` gives, one per stage, such as (4, 8, 16, 32); None keeps the
            stages' own.

    Raises:
        InputError: strides that are not one per stage.
    """

    output_fmt = 'NHWC'

    def __init__(
        self,
        backbone: Backbone,
        num_classes: int = 1000,
        drop_rate: float = 0.0,
        global_pool: str = 'avg',
        out_strides: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        strides = tuple(out_strides or backbone.strides)
        if len(strides) != len(backbone.strides):
            raise InputError(f'out_strides={strides}: expected one for each of {len(backbone.strides)} stages')
        self.backbone, self.global_pool = backbone, global_pool
        self.in_chans, self.drop_rate = backbone.in_channels, drop_rate
        self.num_features = backbone.dims[-1]
        self.feature_info: list[dict[str, Any]] = [
            {'num_chs': dim, 'reduction': stride, 'module': f'backbone.stages.{i}'}
            for i, (dim, stride) in enumerate(zip(backbone.dims, strides))
        ]
        # Vision-LSTM's two norms: the first version has the second of its last level's behind the pooling.
        self.ends = backbone.family == 'vision_lstm'
        self.pair = self.ends and not isinstance(self._level_norm(), nn.Sequential)
        self.head_hidden_size = self.num_features * (2 if self.pair else 1)
        self.head_norm = nn.LayerNorm(self.head_hidden_size) if self.pair else nn.Identity()
        self.head_drop = nn.Dropout(drop_rate)
        self.reset_classifier(num_classes)

    def _level_norm(self) -> Any:
        # A model of timm's may have no final norm.
        last = str(len(self.backbone.all_depths) - 1)
        return self.backbone.norms[last] if last in self.backbone.norms else nn.Identity()

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Take a new linear map, or none for 0 classes."""
        self.num_classes = num_classes
        if global_pool is not None:
            self.global_pool = global_pool
        like = next(self.backbone.parameters())
        self.head: nn.Module = nn.Identity()
        if num_classes:
            self.head = nn.Linear(self.head_hidden_size, num_classes, device=like.device, dtype=like.dtype)
            nn.init.trunc_normal_(self.head.weight, std=HEAD_STD[self.backbone.family] or 1e-12)
            nn.init.zeros_(self.head.bias)

    def get_classifier(self) -> nn.Module:
        """The linear map."""
        return self.head

    def forward_features(self, images: Tensor) -> Tensor:
        """(B, in_channels, H, W) to the last stage's normalised map (B, h, w, C)."""
        norm = self._level_norm()
        x = self.backbone.stage_maps(images)[-1]
        x = norm[0](x) if isinstance(norm, nn.Sequential) else norm(x)
        return self._cut(x, len(self.feature_info) - 1, images, self.backbone.strides[-1])

    def _cut(self, x: Tensor, stage: int, images: Tensor, stride: int) -> Tensor:
        """A stage's map over the padded image to one over the image, of a stride."""
        size = (ceil_div(images.shape[2], stride), ceil_div(images.shape[3], stride))
        return ops.resample2d(x, self.backbone.strides[stage], stride, size)

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """(B, h, w, C) to logits (B, K), or to what the linear map takes."""
        if self.global_pool:
            x = self.head_drop(self._pooled(x))
        return x if pre_logits else self.head(x)

    def _pooled(self, x: Tensor) -> Tensor:
        if not self.ends:
            return x.mean((1, 2))
        first, last = x[:, 0, 0], x[:, -1, -1]
        if self.pair:
            return self.head_norm(torch.cat((first, last), 1))
        return self._level_norm()[1]((first + last) / 2)

    def forward(self, images: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(images))

    def forward_intermediates(
        self,
        images: Tensor,
        indices: int | Sequence[int] | None = None,
        norm: bool = False,
        stop_early: bool = False,
        output_fmt: str = 'NCHW',
        intermediates_only: bool = False,
    ) -> Any:
        """The maps of several stages, as timm's models give them.

        Args:
            images: (B, in_channels, H, W).
            indices: stages; a number takes the last ones, None all; from the end if negative.
            norm: give the last stage's map its norm.
            stop_early: nothing; stages are left out by :meth:`prune_intermediate_layers`.
            output_fmt: NCHW or NHWC.
            intermediates_only: leave out the last stage's normalised map.

        Returns:
            The maps (B, C, ceil(H / s), ceil(W / s)), or the last stage's normalised map (B, h, w, C) and they.
        """
        maps = self.backbone.stage_maps(images)
        levels = []
        for i in self._stages(indices):
            x = self._level_norm()(maps[i]) if norm and i == len(self.backbone.all_depths) - 1 else maps[i]
            x = self._cut(x, i, images, self.feature_info[i]['reduction'])
            levels.append(x.permute(0, 3, 1, 2) if output_fmt == 'NCHW' else x)
        if intermediates_only:
            return levels
        return self._cut(self._level_norm()(maps[-1]), len(maps) - 1, images, self.backbone.strides[-1]), levels

    def _stages(self, indices: int | Sequence[int] | None) -> list[int]:
        count = len(self.feature_info)
        if indices is None or isinstance(indices, int):
            return list(range(count - (indices or count), count))
        found = [i + count if i < 0 else i for i in indices]
        if not all(0 <= i < count for i in found):
            raise InputError(f'indices={tuple(indices)}: expected stages of 0..{count - 1}')
        return found

    def prune_intermediate_layers(
        self, indices: int | Sequence[int] = 1, prune_norm: bool = False, prune_head: bool = True
    ) -> list[int]:
        """Drop the stages after the last of ``indices``, the norm and the head where asked; returns the stages."""
        kept = self._stages(indices)
        end = max(kept) + 1
        prune_end = end < len(self.backbone.all_depths)
        self.backbone.stages = self.backbone.stages[:end]
        if prune_norm or prune_end:
            self.backbone.norms = nn.ModuleDict()
        if prune_head or prune_end:
            self.head_norm = nn.Identity()
            self.reset_classifier(0, '')
        return kept

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Recompute each block's activations in the backward pass."""
        self.backbone.with_cp = enable

    def no_weight_decay(self) -> set[str]:
        """Names of parameters that the authors' recipes do not decay, beside vectors."""
        names = {f'backbone.{self.backbone.position}'} if self.backbone.position else set()
        return names & {name for name, _ in self.named_parameters()}

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Layers for layer-wise learning rates, as timm's functions take them."""
        block = r'^backbone\.stages\.(\d+)'
        fine = [(rf'{block}\.downsample', (0,)), (rf'{block}\.blocks\.(\d+)', None), (r'^backbone\.norms', (99999,))]
        return {'stem': r'^backbone\.stem', 'blocks': block if coarse else fine}


def build_classifier(
    family: str,
    arch: str | Mapping[str, Any],
    num_classes: int = 1000,
    in_chans: int = 3,
    drop_rate: float = 0.0,
    drop_path_rate: float = 0.0,
    global_pool: str = 'avg',
    out_strides: Sequence[int] | None = None,
    **options: Any,
) -> Classifier:
    """A classifier with random weights.

    Args:
        family: a name of ``FAMILIES``.
        arch: of the backbone.
        num_classes: see :class:`Classifier`.
        in_chans: channels of the images.
        drop_rate: see :class:`Classifier`.
        drop_path_rate: of the last block.
        global_pool: see :class:`Classifier`.
        out_strides: see :class:`Classifier`.
        options: further arguments of the backbone.

    Raises:
        TypeError: an option that the backbone has not.
    """
    cls: Any = FAMILIES[family]
    backbone = cls(arch, in_channels=in_chans, out_indices=(3,), drop_path_rate=drop_path_rate, **options)
    return Classifier(backbone, num_classes, drop_rate, global_pool, out_strides)


def classifiers_names(tensors: dict[str, Tensor], model: Classifier) -> dict[str, Tensor]:
    """A file's tensors in the classifier's names.

    Args:
        tensors: of any known layout of the family, or the classifier's own.
        model: whose names they get.

    Raises:
        InputError: they are of another family, or hold a tensor that no rule explains.
    """
    inside = {key[9:]: tensor for key, tensor in tensors.items() if key.startswith('backbone.')}
    family = model.backbone.key_tables()
    layout = family.find_layout(inside or tensors)
    if layout is None:
        raise InputError(f'the weights are no {family.name}: {describe(inside or tensors)}')
    if inside:
        return tensors
    renamed = rename(tensors, layout)
    place_blocks(renamed, model.backbone.all_depths)
    if renamed.unexplained:
        raise InputError(f'the weights ({layout.name} layout) hold what no rule explains: {renamed.unexplained[:8]}')
    heads = {re.sub(r'^head\.norm\.', 'head_norm.', key): tensor for key, tensor in renamed.kept.items()}
    return {f'backbone.{key}': tensor for key, tensor in renamed.tensors.items()} | heads

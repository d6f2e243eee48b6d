"""Any model of timm that has features, behind the contract of ours (github.com/huggingface/pytorch-image-models).

Shapes: B images, H x W pixels or cells, C channels.

    images (B, 3, H, W), padded
      net      timm's model without what follows its last level             one (B, C_i, H / s_i, W / s_i) per level
      norms    of the kind of the model's final norm, if it has one

Levels are the last four stages of a model with stages; of one with a single stride, such as a ViT, the maps after a
third, a half, two thirds and all of its blocks.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from mmseq.backbones.base import Backbone
from mmseq.backbones.timm_structure import (
    FAILURES,
    create,
    examine,
    forward_features,
    layers,
    whole_modules,
)
from mmseq.checkpoints.rules import Drop, Family, Layout, Rename
from mmseq.errors import InputError, first_line
from mmseq.ops.differentiable import transformed
from mmseq.registry import MODELS


@MODELS.register_module()
class Timm(Backbone):
    """A timm model as a backbone; timm is an extra: ``pip install 'mmseq[timm]'``.

    Its parameters have timm's names below ``net.``; a final norm that it has is the last level's of ``norms``.

    Args:
        name: timm's name of the model (``timm.list_models()``), with or without the tag of its weights.
        in_channels: channels of the images.
        out_indices: levels that are returned; None for all. What follows the last one is not built.
        out_strides: strides of the returned maps, such as (4, 8, 16, 32); None gives the model's own.
        out_norm: a norm per returned level, of the kind of the model's final norm, whose weights the last level's
            takes; None for just the models that have one.
        drop_path_rate: of the last block; earlier ones as timm has it for the model, mostly a linear ramp from 0.
        frozen_stages: -1 none, 0 the stem, k the stem and all that the first k levels depend on. What is frozen stays
            in evaluation mode, statistics of batch norms included.
        with_cp: activation checkpointing, by timm.
        init_cfg: ``dict(type='Pretrained', checkpoint=FILE)``: timm's files and addresses (``timm://NAME.TAG``), files
            that timm itself can read for the model, or ours.
        norm_eval: keep the statistics of batch norms as they are, in training too.
        levels: timm's numbers of the features that are the levels (blocks, of a model with a single stride).
        options: further arguments of the model for timm, such as ``dict(depths=(2, 2, 2, 2))``.

    Raises:
        InputError: no timm, no such model, one that cannot keep the contract, or an argument that it cannot follow.
        ValueError: indices, strides or stages that do not fit the model.
    """

    family = 'timm'

    def __init__(
        self,
        name: str,
        in_channels: int = 3,
        out_indices: Sequence[int] | None = None,
        out_strides: Sequence[int] | None = None,
        out_norm: bool | None = None,
        drop_path_rate: float = 0.0,
        frozen_stages: int = -1,
        with_cp: bool = False,
        init_cfg: dict[str, Any] | None = None,
        norm_eval: bool = False,
        levels: Sequence[int] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        found = examine(name, levels, in_channels, drop_path_rate, options or {})
        if out_norm and not found.norm:
            raise InputError(f"out_norm=True: timm's {name} has no final norm to copy; leave it out")
        super().__init__(
            dims=found.channels,
            depths=[1] * len(found.channels),
            strides=found.strides,
            out_indices=range(len(found.channels)) if out_indices is None else out_indices,
            out_strides=out_strides,
            out_norm=found.norm is not None and out_norm is not False,
            in_channels=in_channels,
            frozen_stages=frozen_stages,
            with_cp=with_cp,
            init_cfg=init_cfg,
        )
        self.structure, self.norm_eval, self.size_divisor = found, norm_eval, found.divisor
        self.features = found.features[: len(self.dims)]
        self.net = self._built_net()
        self.build_out_norms(found.norm or nn.Identity)
        self.frozen = self._frozen_names()
        self._check_promises(drop_path_rate)
        self.freeze()

    def _built_net(self) -> Any:
        """timm's model, without the classifier and the layers that no level needs."""
        net = create(self.structure.name, self.structure.arguments)
        net.prune_intermediate_layers(list(self.features), prune_norm=True)
        first = net.pretrained_cfg.get('first_conv')
        self.input_conv = f'net.{first}.weight'
        return net

    def _frozen_names(self) -> frozenset[str]:
        """Parameters of ``net`` that are not trained: those of frozen stages, and any that no level depends on."""
        used = frozenset().union(*self.structure.stages[: len(self.dims)])
        still = {name for name, _ in self.net.named_parameters() if name not in used}
        if self.frozen_stages < 0:
            return frozenset(still)
        if self.frozen_stages == 0 and not self.structure.stem:
            raise InputError(f'frozen_stages=0: timm does not say what the stem of {self.structure.name} is; take 1')
        return frozenset(still).union(self.structure.stem, *self.structure.stages[: self.frozen_stages])

    def _check_promises(self, drop_path_rate: float) -> None:
        """Refuse what the model would pass by without a word.

        Raises:
            InputError: drop path or activation checkpointing, and it has none.
        """
        name = self.structure.name
        rates = [getattr(part, 'drop_prob', 0) for part in self.net.modules() if type(part).__name__ == 'DropPath']
        if drop_path_rate and not any(rates):
            raise InputError(f"drop_path_rate={drop_path_rate}: timm's {name} does not use it; set it to 0")
        if self.with_cp:
            try:
                self.net.set_grad_checkpointing(True)
            except FAILURES as error:
                raise InputError(f"with_cp=True: timm's {name} cannot: {first_line(error)}; leave it out") from error

    def forward_stages(self, images: Tensor) -> Iterator[Tensor]:
        """Yield (B, H / s, W / s, C) of each built level."""
        if self.with_cp:
            # torch.func knows no checkpoints.
            self.net.set_grad_checkpointing(self.training and not transformed())
        count = images.shape[0]
        if not count:
            # Many of timm's models cannot tell the shapes of no images.
            images = F.pad(images, (0, 0) * 3 + (0, 1))
        for level in forward_features(self.net, images, self.features):
            yield level[:count].permute(0, 2, 3, 1)

    def blocks(self) -> list[nn.Module]:
        """The modules of one layer each, by timm's grouping."""
        groups = layers(self.net).values() or [[name] for name, _ in self.net.named_parameters()]
        return [module for names in groups for module in whole_modules(self.net, set(names))]

    def frozen_modules(self) -> list[nn.Module]:
        """The modules that ``frozen_stages`` keeps as they are."""
        norms = [self.norms[str(i)] for i in range(self.frozen_stages) if str(i) in self.norms]
        return [*whole_modules(self.net, self.frozen), *norms]

    def freeze(self) -> None:
        """Stop the gradients of frozen stages, and put them into evaluation mode; called by the constructor."""
        for name, parameter in self.net.named_parameters():
            if name in self.frozen:
                parameter.requires_grad_(False)
        for module in self.frozen_modules():
            module.requires_grad_(False)
            for part in module.modules():
                # cuDNN refuses an LSTM's backward pass in eval mode.
                if not isinstance(part, nn.RNNBase):
                    part.training = False

    def train(self, mode: bool = True) -> 'Timm':
        """Set the mode and return self; frozen stages, and norms with ``norm_eval``, stay as they are."""
        super().train(mode)
        for module in self.net.modules() if self.norm_eval else ():
            if isinstance(module, _BatchNorm):
                module.training = False
        return self

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Depth of a parameter for layer-wise learning-rate decay: timm's layers, and one for the output norms.

        Args:
            param_name: the parameter's name in the whole model.
            prefix: what stands before the backbone's own name in it, for example ``backbone.``.

        Returns:
            The depth, 0 for the stem to ``num_layers - 1`` for the output norms, and ``num_layers``.

        Raises:
            ValueError: the name has another prefix, or timm has no layers for the model.
        """
        if not param_name.startswith(prefix):
            raise ValueError(f'{param_name!r} does not begin with {prefix!r}')
        groups = layers(self.net)
        if not groups:
            raise InputError(f'layer-wise decay: timm does not count the layers of {self.structure.name}')
        own = param_name[len(prefix) :]
        depths = {f'net.{name}': depth for depth, number in enumerate(sorted(groups)) for name in groups[number]}
        return depths.get(own, len(groups)), len(groups) + 1

    def key_tables(self) -> Family:
        """The names in timm's files of this model and in ours, with what of them has no place here."""
        found, own = self.structure, [key for key in self.state_dict() if key.startswith('net.')]
        last = f'norms.{self.num_stages - 1}'
        left = [key for key in found.keys if f'net.{key}' not in own]
        why = 'classifier, or after the last of out_indices'
        theirs: list[Rename | Drop] = [Drop(key, why) for key in left]
        if found.final_norm:
            theirs.insert(0, Rename(f'{found.final_norm}.{{rest}}', f'{last}.{{rest}}'))
        ours: list[Rename | Drop] = [Drop(f'net.{key}', why) for key in left]
        ours += [Rename(f'{part}.{{rest}}', f'{part}.{{rest}}') for part in ('net', 'norms')]
        timm = Layout('timm', own[0].removeprefix('net.'), (*theirs, Rename('{rest}', 'net.{rest}')))
        return Family(f'timm {found.name}', (timm, Layout('mmseq', own[0], tuple(ours))))

    def translated(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """A file's tensors in timm's names, by timm's own reader of the model's files where they have others."""
        if set(tensors) <= set(self.structure.keys) or any(key.startswith('net.') for key in tensors):
            return tensors
        with torch.device('meta'):
            classifier = create(self.structure.name, self.structure.arguments)
        read = getattr(sys.modules[type(classifier).__module__], 'checkpoint_filter_fn', None)
        try:
            return read(tensors, classifier) if read else tensors
        except FAILURES:
            # What stands in the file is then compared as it is, and what does not fit is listed.
            return tensors

"""Layer-wise learning-rate decay for every backbone that can say how deep a parameter lies."""

from typing import Any

from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn

from mmseq.registry import OPTIM_WRAPPER_CONSTRUCTORS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Smaller learning rates for earlier layers: lr = base * decay_rate ** (layers above), as in BEiT's fine-tuning.

    The stem is the lowest layer and the backbone's output norms are the highest, which like all that is no backbone
    keeps the base rate; each backbone counts its layers itself (``get_layer_depth``).

    Args:
        optim_wrapper_cfg: as for mmengine's constructor.
        paramwise_cfg: mmengine's options, which hold as ever (``norm_decay_mult``, ``custom_keys``, ...), and
            ``decay_rate`` in (0, 1].

    Raises:
        ValueError: no decay rate, or one out of range.
        TypeError: the model's backbone does not count its layers.
    """

    def __init__(self, optim_wrapper_cfg: dict[str, Any], paramwise_cfg: dict[str, Any] | None = None) -> None:
        options = dict(paramwise_cfg or {})
        rate = options.pop('decay_rate', None)
        if not isinstance(rate, (int, float)) or not 0 < rate <= 1:
            raise ValueError(f'paramwise_cfg: decay_rate={rate}: expected a number above 0 and up to 1')
        self.decay_rate = float(rate)
        super().__init__(optim_wrapper_cfg, options)
        if self.base_lr is None:
            raise ValueError('optimizer: layer-wise decay needs its lr to be set')
        # mmengine passes add_params by when there are no options.
        self.paramwise_cfg.setdefault('custom_keys', {})

    def add_params(
        self,
        params: list[dict[str, Any]],
        module: nn.Module,
        prefix: str = '',
        is_dcn_module: int | float | None = None,
    ) -> None:
        """Let mmengine make its groups, then lower the rates of the backbone's and join groups that are alike."""
        super().add_params(params, module, prefix, is_dcn_module)
        # mmengine calls itself for each child, and the outermost call has no prefix.
        if not prefix:
            params[:] = join_alike(self.lower_rates(params, module))

    def lower_rates(self, groups: list[dict[str, Any]], model: nn.Module) -> list[dict[str, Any]]:
        """Scale each group of one parameter by its layer; the rates are logged by RecipeHook."""
        backbone: Any = getattr(model, 'backbone', None)
        if not hasattr(backbone, 'get_layer_depth'):
            raise TypeError(f'layer-wise decay: {type(backbone).__name__} does not count its layers (get_layer_depth)')
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        for group in groups:
            group.setdefault('lr', self.base_lr)
            if self.base_wd is not None:
                group.setdefault('weight_decay', self.base_wd)
            name = names[id(group['params'][0])]
            if not name.startswith('backbone.'):
                continue
            depth, count = backbone.get_layer_depth(name, 'backbone.')
            group['lr'] *= self.decay_rate ** (count - 1 - depth)
        return groups


def join_alike(groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Groups with the same options as one group, those of the base rate first: the rate that logs show is theirs."""
    joined: dict[tuple[Any, ...], dict[str, Any]] = {}
    for group in groups:
        options = {key: value for key, value in group.items() if key != 'params'}
        key = tuple(sorted((name, f'{value!r}') for name, value in options.items()))
        joined.setdefault(key, {'params': [], **options})['params'] += group['params']
    return sorted(joined.values(), key=lambda group: -group['lr'])

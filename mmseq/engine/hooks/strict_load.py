"""A whole model's checkpoint fits tensor by tensor, or nothing runs."""

from collections.abc import Sequence
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from mmseq.checkpoints.compare import compare
from mmseq.engine.bare_model import bare_model
from mmseq.errors import InputError
from mmseq.registry import HOOKS


@HOOKS.register_module()
class StrictLoadHook(Hook):
    """Compares a checkpoint with the model before mmengine loads it, which by itself only warns.

    Covers ``load_from``, ``--resume`` and testing.

    Args:
        allow_partial: shell patterns of keys that need not fit, such as ``roi_head.bbox_head.fc_*``. Where these are
            missing, of another shape or in the checkpoint only, the model keeps its fresh initialisation, and the log
            lists them. What matches and fits is loaded.
    """

    priority = 'VERY_HIGH'

    def __init__(self, allow_partial: Sequence[str] = ()) -> None:
        self.allow_partial = tuple(allow_partial)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Raises InputError naming what the checkpoint and the model do not share, or a pattern for nothing."""
        model = bare_model(runner.model)
        found: dict[str, Tensor] = checkpoint.get('state_dict', checkpoint)
        names = {key.removeprefix('module.'): key for key in found}
        own = model.state_dict()
        differences = compare({short: found[key] for short, key in names.items()}, own)
        name = runner._load_from or 'of the work dir'
        fresh = []
        for pattern in self.allow_partial:
            permitted = differences.permit([pattern])
            if not permitted:
                raise InputError(f'checkpoint {name}: --allow-partial {pattern}: every tensor that matches it fits')
            fresh += permitted
        if differences:
            raise InputError(
                f'checkpoint {name} is of another model ({differences}). Use the config it was trained with; '
                'weights for the backbone alone go to model.backbone.init_cfg.checkpoint; heads that may start anew '
                'are named with --allow-partial'
            )
        for key in fresh:
            found.pop(names.get(key, key), None)
        runner.logger.info('checkpoint: %d/%d tensors fit the model', len(own) - sum(k in own for k in fresh), len(own))
        if fresh:
            runner.logger.info('not loaded, as --allow-partial permits: %s', ', '.join(fresh))

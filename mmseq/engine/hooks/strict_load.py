"""A whole model's checkpoint fits tensor by tensor, or nothing runs."""

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor

from mmseq.errors import InputError
from mmseq.registry import HOOKS


@HOOKS.register_module()
class StrictLoadHook(Hook):
    """Compares a checkpoint with the model before mmengine loads it, which by itself only warns.

    Covers ``load_from``, ``--resume`` and testing.
    """

    priority = 'VERY_HIGH'

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Raises InputError naming what the checkpoint and the model do not share."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        # Test-time augmentation wraps the model that was trained.
        model = getattr(model, 'module', model)
        found: dict[str, Tensor] = checkpoint.get('state_dict', checkpoint)
        found = {key.removeprefix('module.'): value for key, value in found.items()}
        own = model.state_dict()
        lists = {
            'in the checkpoint only': [key for key in found if key not in own],
            'in the model only': [key for key in own if key not in found],
            'of another shape': [
                f'{key} {tuple(found[key].shape)} instead of {tuple(own[key].shape)}'
                for key in own
                if key in found and found[key].shape != own[key].shape
            ],
        }
        problems = [
            f'{len(keys)} tensors {what}: {", ".join(keys[:5])}{", ..." if len(keys) > 5 else ""}'
            for what, keys in lists.items()
            if keys
        ]
        if problems:
            name = runner._load_from or 'of the work dir'
            raise InputError(
                f'checkpoint {name} is of another model ({"; ".join(problems)}). Use the config it was trained with; '
                'weights for the backbone alone go to model.backbone.init_cfg.checkpoint'
            )
        runner.logger.info('checkpoint: %d/%d tensors fit the model', len(own), len(own))

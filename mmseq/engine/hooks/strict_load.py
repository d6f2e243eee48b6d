"""A whole model's checkpoint fits tensor by tensor, its classes are the config's, or nothing runs."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, Runner

from mmseq.checkpoints.class_names import classes_of, difference, exchanged, names
from mmseq.checkpoints.compare import casts, compare
from mmseq.checkpoints.wrappers import state_dict
from mmseq.engine.bare_model import bare_model
from mmseq.errors import InputError
from mmseq.registry import HOOKS


@HOOKS.register_module()
class StrictLoadHook(Hook):
    """Compares a checkpoint with the model before mmengine loads it, which by itself only warns.

    Covers ``load_from``, ``--resume`` and testing. Where a run goes on or evaluates, exchanged classes are refused:
    figures would have wrong names. Other names, and what a training begins with, are a warning.

    Args:
        allow_partial: shell patterns of keys that need not fit, such as ``roi_head.bbox_head.fc_*``. Where these are
            missing, of another shape or in the checkpoint only, the model keeps its fresh initialisation, and the log
            lists them. What matches and fits is loaded.
    """

    priority = 'VERY_HIGH'

    def __init__(self, allow_partial: Sequence[str] = ()) -> None:
        self.allow_partial = tuple(allow_partial)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Compare, and leave in the checkpoint only the tensors to load.

        Raises:
            InputError: no weights in it, no state of a training where one is resumed, what the checkpoint and the model
                do not share, or a pattern for nothing.
        """
        own = bare_model(runner.model).state_dict()
        name = runner._load_from or 'of the work dir'
        if runner._resume:
            require_state(checkpoint, name)
        found, _ = state_dict(checkpoint, name)
        differences = compare(found, own)
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
            found.pop(key, None)
        # What mmengine goes on to load, whatever was around it.
        checkpoint['state_dict'] = found
        runner.logger.info('checkpoint: %d/%d tensors fit the model', len(own) - sum(k in own for k in fresh), len(own))
        if cast := casts(found, own):
            runner.logger.info('checkpoint: %s', cast)
        if not fresh:
            compare_classes(runner, classes_of(checkpoint), name)
        if fresh:
            runner.logger.info('not loaded, as --allow-partial permits: %s', ', '.join(fresh))


def require_state(checkpoint: Mapping[str, Any], name: str) -> None:
    """Refuse to resume from what holds no state of a training.

    Raises:
        InputError: it lacks what mmengine goes on with.
    """
    meta, hub = checkpoint.get('meta'), checkpoint.get('message_hub')
    counted = isinstance(meta, Mapping) and all(type(meta.get(key)) is int for key in ('epoch', 'iter'))
    if not counted or not isinstance(hub, Mapping):
        raise InputError(
            f'checkpoint {name}: holds no state of a training (meta.epoch, meta.iter, message_hub) to resume from; '
            '--load-from begins with its weights'
        )


def compare_classes(runner: Runner, saved: Sequence[str], name: str) -> None:
    """Compare the classes that a checkpoint names with those of the data.

    Raises:
        InputError: a class is at another place, and the run goes on with the checkpoint or evaluates it.
    """
    own = classes_of_run(runner)
    if not (said := difference(saved, own)):
        return
    begins = is_built(runner._train_loop) and not runner._resume
    if exchanged(saved, own) and not begins:
        raise InputError(
            f'checkpoint {name}: {said}; figures would have wrong names: give metainfo.classes the order of the '
            'checkpoint, in all data sets'
        )
    runner.logger.warning('checkpoint %s: %s', name, said)


def classes_of_run(runner: Runner) -> tuple[str, ...]:
    """The classes of the data that is trained on, or tested; none where it names none."""
    loop = next((loop for loop in (runner._train_loop, runner._test_loop) if is_built(loop)), None)
    meta = getattr(loop.dataloader.dataset, 'metainfo', None) if loop else None
    return names(meta.get('classes')) if isinstance(meta, dict) else ()


def is_built(loop: BaseLoop | dict[str, Any] | None) -> bool:
    """Whether a run has made a loop of what its config says; the property of the runner would make it."""
    return isinstance(loop, BaseLoop)

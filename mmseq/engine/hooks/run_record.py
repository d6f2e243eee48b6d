"""What a run is, kept in its checkpoints, and compared with the config when the run is resumed."""

from collections.abc import Mapping
from itertools import zip_longest
from typing import Any

from mmengine.dist import get_world_size
from mmengine.hooks import EMAHook, Hook
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import EpochBasedTrainLoop, Runner

from mmseq.engine.loops import PROGRESS
from mmseq.engine.schedule import Plan, follows_metrics, shorten_warm_up
from mmseq.engine.work_dir import RUN
from mmseq.errors import InputError
from mmseq.files import jsonable
from mmseq.registry import HOOKS


@HOOKS.register_module()
class RunRecordHook(Hook):
    """Describe a run in its checkpoints; on resume compare that, and the restored state, with the config.

    Followed and logged: another length or schedule, rates and decay, batch, number of processes, data. Refused: other
    classes, another optimiser or other trained parameters, an average of weights that would take the weights' place,
    another seed that was asked for.

    Args:
        seed: that was asked for on the command line.
    """

    # Before mmengine's hooks change what a checkpoint holds.
    priority = 'VERY_HIGH'

    def __init__(self, seed: int | None = None) -> None:
        self.run = ''
        self.seed = seed
        self._plan: Plan | None = None
        self._restored: Mapping[str, Any] = {}

    def before_run(self, runner: Runner) -> None:
        """Keep what the config says of rates, before a checkpoint replaces it."""
        wrapper = runner.optim_wrapper
        if isinstance(wrapper, OptimWrapper) and not isinstance(wrapper, OptimWrapperDict):
            shorten_warm_up(runner)
            self._plan = Plan(runner)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Describe the run."""
        checkpoint['meta'][RUN] = describe(runner, self.run)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Refuse what cannot be gone on with.

        Raises:
            InputError: it names both values.
        """
        if not runner._resume:
            return
        self._restored = checkpoint['meta'].get(RUN) or {}
        check_classes(runner, checkpoint['meta'].get('dataset_meta'))
        check_average(runner, checkpoint)
        check_optimizer(runner, checkpoint.get('optimizer'), self._restored)
        seed = checkpoint['meta'].get('seed')
        if None not in (seed, self.seed) and seed != self.seed:
            raise InputError(
                f'--seed {self.seed}: the run that is resumed has seed {seed}; leave --seed out, or begin a run of its '
                'own in another --work-dir'
            )

    def before_train(self, runner: Runner) -> None:
        """Follow the config where it differs from the restored state."""
        if runner.iter == 0:
            return
        recount_epochs(runner)
        for line in changes(self._restored, describe(runner, self.run)):
            runner.logger.warning(f'resume: {line}')
        if self._plan:
            self._follow_schedule(runner, self._plan)
        say_if_finished(runner)

    def _follow_schedule(self, runner: Runner, plan: Plan) -> None:
        differences = plan.differences(runner)
        if not differences:
            return
        listed = ', '.join(differences[:6]) + (', ...' if len(differences) > 6 else '')
        if follows_metrics(runner):
            raise InputError(
                f'--resume: the schedule differs from the checkpoint ({listed}) and follows metrics, so it cannot be '
                'computed anew; change it back, or begin a run with --load-from'
            )
        before = rate(runner)
        plan.follow(runner)
        runner.logger.warning(
            f"resume: the schedule is the config's, not the checkpoint's ({listed}): the rate after iteration "
            f'{runner.iter} is {rate(runner):.4g}, not {before:.4g}'
        )


def describe(runner: Runner, run: str) -> dict[str, Any]:
    """What a run is, beside its weights and its schedule."""
    loader, wrapper = runner.train_dataloader, runner.optim_wrapper
    averages = [hook.ema_cfg for hook in runner.hooks if isinstance(hook, EMAHook)]
    return {
        'id': run,
        'processes': get_world_size(),
        'batch_size': runner.cfg.train_dataloader.get('batch_size', 1),
        'accumulated': getattr(wrapper, '_accumulative_counts', 1),
        'samples': len(loader.dataset),
        'data': jsonable(data_of(runner.cfg.train_dataloader.dataset)),
        'optimizer': type(getattr(wrapper, 'optimizer', wrapper)).__name__,
        'frozen_stages': (runner.cfg.model.get('backbone') or {}).get('frozen_stages'),
        'average': jsonable(averages[0]) if averages else None,
    }


def data_of(dataset: Any) -> Any:
    """Types, files and folders of a config's data set, those inside wrappers included."""
    if isinstance(dataset, Mapping):
        kept = ('type', 'data_root', 'ann_file', 'data_prefix', 'dataset', 'datasets', 'indices')
        return {key: data_of(dataset[key]) for key in kept if dataset.get(key)}
    if isinstance(dataset, (list, tuple)):
        return [data_of(one) for one in dataset]
    return dataset if isinstance(dataset, (str, int)) else getattr(dataset, '__name__', type(dataset).__name__)


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Lines about the differences between two records of one run."""
    names = {
        'processes': '{} processes, not {}',
        'batch_size': 'train_dataloader.batch_size={}, not {}',
        'accumulated': 'optim_wrapper.accumulative_counts={}, not {}',
        'samples': '{} training samples, not {}',
        'data': 'training data {}, not {}',
        'average': 'average of weights {}, not {}',
    }
    differing = [key for key in names if key in before and before[key] != now[key]]
    lines = [names[key].format(now[key], before[key]) + ' as in the checkpoint' for key in differing]
    if {'processes', 'batch_size', 'accumulated'} & set(differing):
        images = [one['processes'] * one['batch_size'] * one['accumulated'] for one in (now, before)]
        lines.append(
            f'effective batch {images[0]}, it was {images[1]}'
            + ('; the learning rate stays what the config says' if images[0] != images[1] else '')
        )
    return lines


def check_classes(runner: Runner, meta: Any) -> None:
    """Refuse a checkpoint of other classes, or of the same in another order.

    Raises:
        InputError: it names the first that differ.
    """
    before = (meta or {}).get('classes')
    now = (getattr(runner.train_dataloader.dataset, 'metainfo', None) or {}).get('classes')
    if not before or not now or list(before) == list(now):
        return
    number, old, new = next((i, a, b) for i, (a, b) in enumerate(zip_longest(before, now)) if a != b)
    raise InputError(
        f'--resume: the checkpoint has {len(before)} classes and the data set {len(now)}; class {number} is {old!r} in '
        f'the checkpoint and {new!r} in the data: use the classes that it was trained with, or begin with --load-from'
    )


def check_average(runner: Runner, checkpoint: Mapping[str, Any]) -> None:
    """Refuse to take an average of weights for the weights.

    Raises:
        InputError: the checkpoint has an average, and this run makes none.
    """
    if 'ema_state_dict' in checkpoint and not any(isinstance(hook, EMAHook) for hook in runner.hooks):
        raise InputError(
            '--resume: the checkpoint is of a run with an average of weights (--ema), and this one has none: give '
            '--ema again, or begin a run with the average: --load-from'
        )


def check_optimizer(runner: Runner, state: Mapping[str, Any] | None, restored: Mapping[str, Any]) -> None:
    """Refuse an optimiser's state that belongs to another optimiser or to other parameters.

    Raises:
        InputError: it names both.
    """
    if state is None or isinstance(runner.optim_wrapper, OptimWrapperDict):
        return
    now = type(runner.optim_wrapper.optimizer).__name__
    if (before := restored.get('optimizer', now)) != now:
        raise InputError(f'--resume: the checkpoint was trained with {before}, the config has {now}; change it back')
    old, new = state['param_groups'], runner.optim_wrapper.optimizer.param_groups
    sizes = [sum(len(group['params']) for group in groups) for groups in (old, new)]
    if sizes[0] != sizes[1] or len(old) != len(new):
        frozen = runner.cfg.model.get('backbone', {}).get('frozen_stages')
        cause = ''
        if restored and restored['frozen_stages'] != frozen:
            cause = f' (model.backbone.frozen_stages={restored["frozen_stages"]} then, {frozen} now)'
        raise InputError(
            f'--resume: the checkpoint trained {sizes[0]} tensors in {len(old)} groups, and the config trains '
            f'{sizes[1]} in {len(new)}{cause}: change back the frozen stages and '
            'optim_wrapper.paramwise_cfg, or begin a run with --load-from'
        )


def recount_epochs(runner: Runner) -> None:
    """Count iterations in epochs of the present length, at the end of one; in the middle the loop refuses."""
    loop, progress = runner.train_loop, runner.message_hub.runtime_info.get(PROGRESS)
    if not isinstance(loop, EpochBasedTrainLoop) or not progress or progress[2] == len(loop.dataloader):
        return
    length = len(loop.dataloader)
    loop._iter = loop._epoch * length
    runner.optim_wrapper.initialize_count_status(runner.model, loop._iter, loop._max_iters)
    runner.logger.warning(
        f'resume: an epoch has {length} iterations, not {progress[2]} as in the checkpoint: epoch {loop._epoch} ended '
        f'at iteration {loop._iter} in this count'
    )


def rate(runner: Runner) -> float:
    """The highest learning rate of all groups."""
    return max(group['lr'] for group in runner.optim_wrapper.optimizer.param_groups)


def say_if_finished(runner: Runner) -> None:
    """Tell that there is nothing left to train."""
    if runner.iter < runner.max_iters:
        return
    by_epoch = isinstance(runner.train_loop, EpochBasedTrainLoop)
    done, key = (f'epoch {runner.epoch}', 'max_epochs') if by_epoch else (f'iteration {runner.iter}', 'max_iters')
    end = runner.max_epochs if by_epoch else runner.max_iters
    runner.logger.warning(
        f'resume: the run is finished, at {done} of {end}; nothing is trained. A larger train_cfg.{key} goes on with it'
    )

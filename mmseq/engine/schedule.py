"""Schedules of rates: as long as the run, in a config and in a run that is resumed."""

import math
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.runner import EpochBasedTrainLoop, Runner

from mmseq.errors import InputError
from mmseq.files import jsonable

# mmengine's default end of a scheduler: none.
NO_END = 10**9
# They lead to the base rate; the others lead from it to the end of the run.
WARM_UPS = ('LinearLR', 'ConstantLR', 'QuadraticWarmupLR')
# The most of a run that a warm-up takes where the run's length is chosen for the data.
WARM_UP_SHARE = 0.05
# They fall from their first step on.
GRADUAL = ('CosineAnnealingLR', 'PolyLR', 'LinearLR')
# What a scheduler counts in epochs or iterations.
_PLACES = ('begin', 'end', 'T_max', 'step_size', 'total_steps', 'milestones', 'periods')
# What of a scheduler's state is its progress, and not its plan.
_PROGRESS = {'last_step', '_global_step', '_last_value', 'verbose'}


def fit(cfg: Config, path: str) -> str | None:
    """Make the schedule as long as the run, all of it in proportion, if it has another end; gives a line for the log.

    Warm-ups alone set no end. A schedule that is to stay flat up to the end of the run has a scheduler up to there:
    ``dict(type='ConstantLR', factor=1, begin=..., end=...)``.

    Raises:
        InputError: milestones beyond the run, with which no end is given.
    """
    length, unit = length_of(cfg)
    schedulers = schedulers_of(cfg)
    ends = [end for one in schedulers if (end := _end(one, unit))]
    if length is None or not ends:
        _check_milestones(schedulers, length, unit, path)
        return None
    end = max(ends)
    if end == length:
        return None
    fitted = [_scaled(one, length / end) for one in schedulers]
    cfg.param_scheduler = [one for one in fitted if one is not None]
    dropped = len(fitted) - len(cfg.param_scheduler)
    text = (
        f'param_scheduler ends at {end} and train_cfg.{unit} is {length}: begins, ends and milestones are multiplied '
        f'by {length / end:.4g}'
    )
    return text + (f'; {dropped} warm-up is left out, being shorter than two iterations' if dropped else '')


def schedulers_of(cfg: Mapping[str, Any] | Config) -> list[Any]:
    """The schedulers of a config as a list; none of a config with one list for each of several optimisers."""
    found = cfg.get('param_scheduler') or []
    if isinstance(found, Mapping):
        return [found] if 'type' in found else []
    return list(found)


def set_length(cfg: Config, length: int, iterations: int) -> int:
    """Change the length of a run and its schedule with it: the peak of the rate stays that of the recipe.

    Steps and decays keep their places in the run. A warm-up takes a twentieth of the run, or less where the recipe's
    own is shorter, and decays that began with it or at its end begin at its end.

    Args:
        cfg: a config with ``train_cfg``.
        length: of the run, in the unit of its ``train_cfg``.
        iterations: that this comes to.

    Returns:
        The iterations of the warm-up; 0 for none.
    """
    before, unit = length_of(cfg)
    cfg.train_cfg[unit] = length
    schedulers = [one for one in schedulers_of(cfg) if isinstance(one, Mapping)]
    if before is None or not schedulers:
        return 0
    per_unit = iterations / length
    warm_ups = [one for one in schedulers if _is_warm_up(one)]
    arrival = max((round(one.get('end', NO_END) * _step_length(one, per_unit)) for one in warm_ups), default=0)
    warm_up = min(arrival, int(iterations * WARM_UP_SHARE))
    warm_up = warm_up if warm_up >= 2 else 0
    factor = length / max([end for one in schedulers if (end := _end(one, unit))] or [before])
    decays = [_decaying(one, factor, warm_up, arrival, per_unit) for one in schedulers if one not in warm_ups]
    ends = [length if one.get('by_epoch', True) else iterations for one in decays]
    fitted = [*(_warming(one, warm_up) for one in warm_ups if warm_up), *map(_within, decays, ends)]
    cfg.param_scheduler = [one for one in fitted if one is not None]
    return warm_up


def _step_length(scheduler: Mapping[str, Any], per_unit: float) -> float:
    """The iterations of what a scheduler counts."""
    return per_unit if scheduler.get('by_epoch', True) else 1


def _warming(scheduler: Mapping[str, Any], iterations: int) -> ConfigDict:
    """A warm-up of so many iterations."""
    warming = ConfigDict(scheduler, by_epoch=False, begin=0, end=iterations)
    warming.pop('convert_to_iter_based', None)
    return warming


def _decaying(scheduler: Mapping[str, Any], factor: float, warm_up: int, arrival: int, per_unit: float) -> ConfigDict:
    """A scheduler in proportion, which begins to fall where the warm-up ends if it did, or began with it."""
    decaying, step = _scaled(scheduler, factor), _step_length(scheduler, per_unit)
    gradual = str(scheduler.get('type')).rpartition('.')[2] in GRADUAL
    if not gradual or scheduler.get('begin', 0) * step not in (0, arrival):
        return decaying
    decaying.begin = warm_up
    if step != 1:
        # Rounded up, since mmengine cuts off what is no whole iteration.
        decaying.update(begin=math.ceil(warm_up / per_unit * 1e6) / 1e6, convert_to_iter_based=True)
    if decaying.pop('T_max', None):
        # mmengine then takes what is between begin and end.
        decaying.setdefault('end', round((scheduler.get('begin', 0) + scheduler['T_max']) * factor))
    return decaying


def _within(scheduler: ConfigDict, end: int) -> ConfigDict | None:
    """A scheduler whose steps all fall before the end of the run; None if none is left."""
    if not scheduler.get('milestones'):
        return scheduler
    scheduler.milestones = sorted({min(step, end - 1) for step in scheduler.milestones} - {0})
    return scheduler if scheduler.milestones else None


def length_of(cfg: Config) -> tuple[int | None, str]:
    """The length of a run and its unit, ``max_epochs`` or ``max_iters``; None where a config has none."""
    loop = cfg.get('train_cfg') or {}
    unit = 'max_epochs' if 'max_epochs' in loop else 'max_iters'
    return loop.get(unit), unit


def _is_warm_up(scheduler: Mapping[str, Any]) -> bool:
    name = str(scheduler.get('type')).rpartition('.')[2]
    if name == 'LinearLR' and scheduler.get('start_factor', 1 / 3) >= scheduler.get('end_factor', 1):
        return False
    return name in WARM_UPS and scheduler.get('begin', 0) == 0


def _end(scheduler: Any, unit: str) -> int | None:
    """Where a scheduler that is no warm-up ends, in the unit of the run's length."""
    if not isinstance(scheduler, Mapping) or _is_warm_up(scheduler):
        return None
    if scheduler.get('by_epoch', True) != (unit == 'max_epochs'):
        return None
    end = scheduler.get('end')
    if end in (None, NO_END):
        return scheduler.get('begin', 0) + scheduler['T_max'] if scheduler.get('T_max') else None
    return end


def _check_milestones(schedulers: list[Any], length: int | None, unit: str, path: str) -> None:
    for i, one in enumerate(schedulers):
        if not isinstance(one, Mapping) or not one.get('milestones') or length is None:
            continue
        if one.get('by_epoch', True) == (unit == 'max_epochs') and max(one['milestones']) >= length:
            raise InputError(
                f'config {path}: param_scheduler.{i}.milestones={list(one["milestones"])} and train_cfg.{unit}='
                f'{length}: the rate would not fall there; set its milestones too, or its end to '
                f'the {unit} that they are for, and they follow'
            )


def _scaled(scheduler: Any, factor: float) -> Any:
    """A scheduler with its places in proportion; None for a warm-up that would never arrive."""
    if not isinstance(scheduler, Mapping):
        return scheduler
    scaled = ConfigDict(scheduler)
    for key in _PLACES:
        value = scheduler.get(key)
        if isinstance(value, (list, tuple)):
            scaled[key] = [max(1, round(item * factor)) for item in value]
        elif isinstance(value, float):
            # A part of an epoch.
            scaled[key] = value * factor
        elif value is not None and value != NO_END:
            scaled[key] = max(int(key != 'begin'), round(value * factor))
    if scheduler.get('end') in (None, NO_END):
        return scaled
    if _is_warm_up(scheduler) and scaled.end < 2:
        return None
    if 'begin' in scaled:
        scaled.begin = min(scaled.begin, scaled.end - 1)
    return scaled


def shorten_warm_up(runner: Runner) -> None:
    """Give a warm-up that is longer than the run, as with few images in epochs, a tenth of it, with a warning.

    Args:
        runner: with its schedulers built, and no step made.
    """
    for i, one in enumerate(schedulers_of(runner.cfg)):
        counts_iterations = isinstance(one, Mapping) and _is_warm_up(one) and not one.get('by_epoch', True)
        if not counts_iterations or not NO_END > one.get('end', NO_END) > runner.max_iters:
            continue
        end = max(2, runner.max_iters // 10)
        runner.logger.warning(
            f'param_scheduler.{i} warms up for {one.end} iterations, and the run has {runner.max_iters}: its end is '
            f'set to {end}; set param_scheduler.{i}.end for another'
        )
        one.end = end
        _rebuild(runner)


def _rebuild(runner: Runner) -> None:
    for group in runner.optim_wrapper.optimizer.param_groups:
        group.update({key.removeprefix('initial_'): group[key] for key in list(group) if key.startswith('initial_')})
    runner.param_schedulers = runner.build_param_scheduler(deepcopy(runner.cfg.param_scheduler))


class Plan:
    """What the config says of rates: hyperparameters and schedulers as they are before anything is restored.

    Args:
        runner: with its optimiser and schedulers built, and no step made.
    """

    def __init__(self, runner: Runner) -> None:
        self.groups = [
            {key: value for key, value in group.items() if key != 'params'}
            for group in runner.optim_wrapper.optimizer.param_groups
        ]
        self.schedulers = [_plan_of(one) for one in all_schedulers(runner)]

    def differences(self, runner: Runner) -> list[str]:
        """Where the restored rates follow another plan, as 'name old -> new'."""
        found = []
        for fresh, group in zip(self.groups, runner.optim_wrapper.optimizer.param_groups):
            scheduled = {key.removeprefix('initial_') for key in fresh if key.startswith('initial_')}
            for key in fresh.keys() & group.keys() - scheduled:
                if jsonable(fresh[key]) != jsonable(group[key]):
                    found.append(f'{key.removeprefix("initial_")} {group[key]} -> {fresh[key]}')
        restored = [_plan_of(one) for one in all_schedulers(runner)]
        if [name for name, _ in restored] != [name for name, _ in self.schedulers]:
            return [*dict.fromkeys(found), 'other schedulers']
        for (name, old), (_, new) in zip(restored, self.schedulers):
            keys = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
            found += [f'{name}.{key} {old.get(key)} -> {new.get(key)}' for key in keys if key != 'base_values']
        return list(dict.fromkeys(found))

    def follow(self, runner: Runner) -> None:
        """Set rates to what the config gives at the run's iteration: its schedulers make all their steps again.

        Raises:
            InputError: a schedule that follows metrics, which cannot be made again.
        """
        optimizer = runner.optim_wrapper.optimizer
        for fresh, group in zip(self.groups, optimizer.param_groups):
            group.update(fresh)
        _rebuild(runner)
        # Schedulers warn where they are stepped and no optimiser is.
        runner.optim_wrapper._global_step = 0
        loop = runner.train_loop
        by_epoch = len(loop.dataloader) if isinstance(loop, EpochBasedTrainLoop) else None
        for step in range(1, runner.iter + 1):
            _step(runner, lambda one: not one.by_epoch)
            if by_epoch and step % by_epoch == 0:
                _step(runner, lambda one: one.by_epoch)


def all_schedulers(runner: Runner) -> list[Any]:
    """The schedulers of a runner, of several optimisers too."""
    found = runner.param_schedulers or []
    return [one for group in found.values() for one in group] if isinstance(found, dict) else list(found)


def follows_metrics(runner: Runner) -> bool:
    """Whether some scheduler depends on what validations found."""
    return any('Plateau' in type(one).__name__ for one in all_schedulers(runner))


def _plan_of(scheduler: Any) -> tuple[str, dict[str, Any]]:
    state = {key: jsonable(value) for key, value in scheduler.state_dict().items() if key not in _PROGRESS}
    return type(scheduler).__name__, state


def _step(runner: Runner, which: Callable[[Any], bool]) -> None:
    for one in all_schedulers(runner):
        if which(one):
            one.step()

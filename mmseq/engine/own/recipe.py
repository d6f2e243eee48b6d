"""Settings that follow from the number of images: length, schedule, learning rate, and frozen stages.

- Batch: the config's, at most the images of a process; else a batch would hold an image twice.
- Epochs: 20,000 views of images, 12 to 100 epochs; few images have to be seen often.
- Schedule: steps, cosine or polynomial in proportion; the recipe's shape stays.
- Warm-up: a twentieth of the run, at most the recipe's; the peak of the rate is the recipe's.
- Rate: by the images of an update, the root of the ratio for Adam and its kin, else the ratio; for noisy gradients.
- Evaluations: ten, with the best checkpoint kept; any may be the best.
- End: after five evaluations that are worse than the best; it has learnt what it can.
- Weights: below 1000 images those that ship for the backbone, where neither they nor a config are named.
- Lower layers: below 1000 images and from pretrained weights, stem and first stage frozen, rates that fall by 0.8 a
  layer; they forget less. Not from those that ship.
- Flips: no vertical ones; photographs have an upper side.
- Workers: by the processors of a process; loading keeps pace.
"""

import os
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import DATASETS, MODELS, DefaultScope

from mmseq.checkpoints.zoo import is_shipped
from mmseq.config import LOADERS
from mmseq.engine.config_classes import class_of
from mmseq.engine.own.data import best_by, keep_upright
from mmseq.engine.own.shipped import begin_with_shipped, option_on_weights
from mmseq.engine.preflight import check_data_places
from mmseq.engine.recipe import accumulation
from mmseq.engine.schedule import length_of, set_length
from mmseq.engine.trial import quiet
from mmseq.errors import InputError

VIEWS, FEWEST_EPOCHS, MOST_EPOCHS = 20_000, 12, 100
EVALUATIONS, PATIENCE = 10, 5
EARLY = 'mmseq.EarlyStoppingHook', 'EarlyStoppingHook'
FEW_IMAGES, FROZEN_STAGES, LAYER_DECAY = 1000, 1, 0.8
# Of mmdet's hooks PipelineSwitchHook and YOLOXModeSwitchHook, in epochs.
SWITCHES = ('switch_epoch', 'num_last_epochs')
ROOT_RULE = ('Adam', 'Lamb', 'Lion', 'Adan', 'Prodigy')


def derive(
    cfg: Config,
    options: Mapping[str, Any],
    processes: int,
    epochs: int | None = None,
    pretrained: bool = False,
    may_begin: bool = False,
) -> list[str]:
    """Fit the recipe of a config to its own training data; returns one line per decision.

    Args:
        cfg: with the data of a card.
        options: what will override it: a batch size, a length or an accumulation there is what the rest follows from.
        processes: of the run.
        epochs: that the run is to have.
        pretrained: whether a whole model's weights are given to begin with.
        may_begin: whether the backbone of few images may begin with weights that ship.

    Raises:
        InputError: no images to train on, or options that contradict each other.
    """
    images, batch = count_images(cfg), whole(options, 'train_dataloader.batch_size')
    cfg.train_dataloader.batch_size = batch or min(cfg.train_dataloader.batch_size, max(1, images // processes))
    per_epoch = batches(cfg, images, processes)
    chosen = asked_length(cfg, options, per_epoch, epochs) or usual_length(cfg, images, per_epoch)
    lines = [f'{images} images to train on, batches of {cfg.train_dataloader.batch_size}', run(cfg, chosen, per_epoch)]
    lines += scale_rate(cfg, whole(options, 'optim_wrapper.accumulative_counts'), processes)
    if may_begin and images < FEW_IMAGES and not pretrained:
        lines += begin_with_shipped(cfg, options)
    lines += spare_layers(cfg, options, images, pretrained)
    if keep_upright(cfg):
        lines.append('no vertical flips, since photographs have an upper side; RandomFlip.direction brings them back')
    set_workers(cfg, processes)
    lines.append(choose_best(cfg))
    return lines


def set_epochs(cfg: Config, options: Mapping[str, Any], processes: int, epochs: int) -> None:
    """Give a config's run so many epochs over its own data, with its schedule in proportion.

    Raises:
        InputError: the options have another length, or the data are not there.
    """
    if 'train_cfg' not in cfg or 'train_dataloader' not in cfg:
        raise InputError('--epochs: the config trains nothing; it has no train_cfg or no train_dataloader')
    batch = whole(options, 'train_dataloader.batch_size')
    cfg.train_dataloader.batch_size = batch or cfg.train_dataloader.batch_size
    check_data_places(cfg, ('train_dataloader',))
    per_epoch = batches(cfg, count_images(cfg), processes)
    run(cfg, asked_length(cfg, options, per_epoch, epochs) or epochs, per_epoch)


def whole(options: Mapping[str, Any], key: str) -> int | None:
    """A whole number among the options; what else stands there is refused later, with all other checks."""
    value = options.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def count_images(cfg: Config) -> int:
    """How many images the training data of a config have, after all that its data set leaves out.

    Raises:
        InputError: none.
    """
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmengine')), quiet():
        images = len(DATASETS.build(deepcopy(cfg.train_dataloader.dataset)))
    if not images:
        raise InputError('the training data have no image with a label; correct the labels, or filter_cfg')
    return images


def batches(cfg: Config, images: int, processes: int) -> int:
    """Batches of an epoch, of each process."""
    return -(-images // (cfg.train_dataloader.batch_size * processes))


def asked_length(cfg: Config, options: Mapping[str, Any], per_epoch: int, epochs: int | None) -> int | None:
    """The length that options ask for, in the unit of the run; None if they do not.

    Raises:
        InputError: they ask twice.
    """
    _, unit = length_of(cfg)
    given = whole(options, f'train_cfg.{unit}')
    if given and epochs:
        raise InputError(f'--epochs {epochs} and train_cfg.{unit}={given}: both set the length; give one of them')
    return given or (epochs and epochs * (per_epoch if unit == 'max_iters' else 1))


def usual_length(cfg: Config, images: int, per_epoch: int) -> int:
    """The length for so many images, a multiple of the interval of evaluations, in the unit of the run."""
    epochs = min(max(round(VIEWS / images), FEWEST_EPOCHS), MOST_EPOCHS)
    length = epochs * (per_epoch if length_of(cfg)[1] == 'max_iters' else 1)
    interval = max(1, round(length / EVALUATIONS))
    return interval * round(length / interval)


def run(cfg: Config, length: int, per_epoch: int) -> str:
    """Set the length of a run, its schedule, and when it evaluates and saves; gives a line on it."""
    before, unit = length_of(cfg)
    iterations = length * (per_epoch if unit == 'max_epochs' else 1)
    warm_up = set_length(cfg, length, iterations)
    move_switches(cfg, length / (before or length))
    # Between two updates no checkpoint is written.
    grain = accumulation(cfg) if unit == 'max_iters' else 1
    interval = min(length, grain * max(1, round(length / EVALUATIONS / grain)))
    cfg.train_cfg.val_interval = interval
    for key in ('val_begin', 'dynamic_intervals'):
        cfg.train_cfg.pop(key, None)
    if last := length % interval:
        # The end is evaluated, too.
        cfg.train_cfg.dynamic_intervals = [(length - last + 1, length)]
    hooks = cfg.setdefault('default_hooks', ConfigDict())
    checkpoint = hooks.setdefault('checkpoint', ConfigDict(type='CheckpointHook'))
    checkpoint.update(interval=interval, by_epoch=unit == 'max_epochs')
    name = unit.removeprefix('max_').replace('iters', 'iterations')
    total = f' of {per_epoch} iterations' if unit == 'max_epochs' else f', {per_epoch} an epoch'
    return f'{length} {name}{total}, {warm_up} iterations of warm-up, evaluated every {interval}'


def move_switches(cfg: Config, factor: float) -> None:
    """Let hooks that change the pipeline after some epochs do so at the same place in a run of another length."""
    for hook in cfg.get('custom_hooks') or []:
        for key in SWITCHES:
            if isinstance(hook, dict) and hook.get(key):
                hook[key] = max(1, round(hook[key] * factor))


def scale_rate(cfg: Config, accumulated: int | None, processes: int) -> list[str]:
    """Scale the rate from the batch that the recipe is for to that of the run."""
    scaling = cfg.get('auto_scale_lr') or {}
    base, optimizer = scaling.get('base_batch_size'), cfg.optim_wrapper.get('optimizer') or {}
    batch = cfg.train_dataloader.batch_size * processes * (accumulated or accumulation(cfg))
    if not base or base == batch or not optimizer.get('lr'):
        return []
    by_root = any(name in str(optimizer.get('type')) for name in ROOT_RULE)
    ratio = (batch / base) ** (0.5 if by_root else 1)
    before, optimizer['lr'] = optimizer['lr'], float(f'{optimizer["lr"] * ratio:.3g}')
    cfg.auto_scale_lr = dict(enable=False, base_batch_size=batch)
    rule = 'by the root of their ratio' if by_root else 'in proportion'
    return [f'rate {optimizer["lr"]:g} for {batch} images an update; the recipe has {before:g} for {base}, {rule}']


def spare_layers(cfg: Config, options: Mapping[str, Any], images: int, pretrained: bool) -> list[str]:
    """Few images leave the lowest layers of a pretrained backbone as they are, and move the others less.

    Not those of the small weights that ship, which know little that could be forgotten, nor of weights that an option
    names or takes away.
    """
    backbone, wrapper = cfg.model.get('backbone') or {}, cfg.optim_wrapper
    source = (backbone.get('init_cfg') or {}).get('checkpoint')
    of_recipe = source is not None and not is_shipped(str(source)) and not option_on_weights(options)
    pretrained = pretrained or bool(cfg.get('load_from')) or of_recipe
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmengine')):
        counts_layers = hasattr(class_of(MODELS, backbone), 'get_layer_depth')
    if images >= FEW_IMAGES or not pretrained or not counts_layers:
        return []
    backbone['frozen_stages'] = max(FROZEN_STAGES, backbone.get('frozen_stages', -1))
    rules = wrapper.get('paramwise_cfg') or {}
    # A rate of its own for the backbone is the recipe's way to the same end.
    if wrapper.get('constructor') or 'backbone' in (rules.get('custom_keys') or {}):
        return [f'few images and pretrained weights: {FROZEN_STAGES} stage stays as it is']
    wrapper.constructor = 'mmseq.LayerDecayOptimWrapperConstructor'
    wrapper.paramwise_cfg = dict(rules, decay_rate=LAYER_DECAY)
    return [f'few images and pretrained weights: {FROZEN_STAGES} stage is frozen, rates fall by {LAYER_DECAY} a layer']


def set_workers(cfg: Config, processes: int) -> None:
    """Workers by the processors there are: most of them serve the model where there is no GPU."""
    share = (os.cpu_count() or 1) // processes
    workers = min(4, share // 2 if torch.cuda.is_available() else share // 4)
    for loader in LOADERS:
        cfg[loader].update(num_workers=workers, persistent_workers=workers > 0)


def choose_best(cfg: Config) -> str:
    """Keep the best checkpoint, and stop where it gets no better; gives a line on it."""
    best = best_by(cfg)
    cfg.default_hooks.checkpoint.update(save_best=best, rule='greater', max_keep_ckpts=1, save_last=True)
    # mmengine's min_delta is 0.1: an AP that rises from 0.05 to 0.14 would count for nothing.
    stop = dict(type=EARLY[0], monitor=best, rule='greater', patience=PATIENCE, min_delta=0.0)
    # A config that a run on a card left has one already.
    hooks = cfg.get('custom_hooks') or []
    others = [one for one in hooks if not (isinstance(one, dict) and one.get('type') in EARLY)]
    cfg.custom_hooks = [*others, ConfigDict(stop)]
    return f'the best checkpoint by {best} is kept; {PATIENCE} evaluations without a better one end the run'

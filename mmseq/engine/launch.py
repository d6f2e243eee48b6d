"""From a config file and a few options to a finished run; one way for detection and segmentation."""

import os
import time
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
import torch.distributed
from mmengine.config import Config
from mmengine.runner import Runner

from mmseq.checkpoints.fetch import locate
from mmseq.compat.allocator import keep_memory
from mmseq.config import read_model_config
from mmseq.engine.account import end
from mmseq.engine.hooks.kept_memory import KeptMemoryHook
from mmseq.engine.hooks.terminal import HeadHook, ProgressHook
from mmseq.engine.loss_trial import check_losses
from mmseq.engine.own.changes import ConfigChange, OwnData
from mmseq.engine.paramwise import is_no_frozen_tensor
from mmseq.engine.preflight import check_config, check_datasets, check_weights
from mmseq.engine.processes import naming_missing_processes, start_without_gpu
from mmseq.engine.resume import begin, beginning
from mmseq.engine.settings import ASKED, PROMISED, Settings, edit, resume_of
from mmseq.engine.terminal import Terminal, runner_class, shown
from mmseq.explain import explaining
from mmseq.explain.channels import check_channels
from mmseq.explain.work import Work
from mmseq.large.tiles import Tiles
from mmseq.ranks import is_first_process, world_size


def train(
    config: str | None,
    *,
    data: str | None = None,
    epochs: int | None = None,
    image_size: int | None = None,
    change: ConfigChange | None = None,
    options: Mapping[str, Any] | None = None,
    work_dir: str | None = None,
    seed: int | None = None,
    launcher: str = 'none',
    resume: str | None = None,
    anew: bool = False,
    load_from: str | None = None,
    allow_partial: Sequence[str] = (),
    amp: str | None = None,
    auto_scale_lr: bool = False,
    ema: float | None = None,
    compile_backbone: bool = False,
    channels_last: bool = False,
    shard: str | None = None,
    check_data: bool = True,
    deterministic: bool = False,
    loggers: Sequence[str] = (),
    log_images: int | None = None,
    verbose: bool = False,
) -> Runner:
    """Train and evaluate as a config says.

    Args:
        config: path of the config; None takes one for ``data``.
        data: a data card, whose images and labels take the place of the config's.
        epochs: length of the run, with the schedule in proportion.
        image_size: side of a segmentor's crop, or shorter side of a detector's images, in pixels.
        change: another change of the config, in the place of these three.
        options: dotted keys and values that override it.
        work_dir: where outputs go; ``work_dirs/<config name>``, with the name of the card behind it, by default.
        seed: overrides ``randomness.seed``.
        launcher: ``none``, or ``pytorch`` or ``slurm`` in a process that one of them started.
        resume: a checkpoint to go on from, or ``auto`` for the newest of the run in the work dir, which has to be
            there; a config that says ``resume=True`` itself may also begin a run.
        anew: move an earlier run in the work dir aside, to ``NAME_earlier_1``, and begin; without it that is refused.
        load_from: a checkpoint of a whole model to begin with.
        allow_partial: shell patterns of its tensors that need not fit the model and then start anew.
        amp: ``bfloat16`` or ``float16`` for mixed precision; where a device only imitates bfloat16, the run is in
            float32, with a line in the log, unless it is ``force``.
        auto_scale_lr: scale the learning rate to the effective batch.
        ema: momentum of a moving average of the weights, which is what is evaluated and saved.
        compile_backbone: compile the backbone.
        channels_last: keep 4-D weights and maps with the channels innermost.
        shard: ``zero`` or ``fsdp`` divide what training keeps among the processes.
        check_data: check annotations and a sample of the data first.
        deterministic: choose operators that repeat bit by bit, and write the final weights with their digest.
        loggers: ``tensorboard`` and ``wandb`` get what is logged, too.
        log_images: how many validation images are drawn at each evaluation; None is 8 with a logger, else 0.
        verbose: show on the terminal all that the log file gets.

    Returns:
        The runner after training.

    Raises:
        InputError: bad input, before any training.
    """
    with shown(verbose) as terminal:
        own = change or OwnData(data, epochs, image_size, load_from)
        config = own.config(config)
        cfg = read_model_config(config, options or {}, own)
        may_begin, resume = resume is None, resume or resume_of(cfg)
        settings = Settings(
            'training',
            config,
            work_dir=work_dir,
            seed=seed,
            launcher=launcher,
            processes=world_size(),
            resume=resume if resume in (None, 'auto') else str(locate(resume)),
            may_begin=may_begin,
            anew=anew,
            load_from=load_from,
            allow_partial=allow_partial,
            deterministic=deterministic,
            amp=amp,
            auto_scale_lr=auto_scale_lr,
            shard=shard,
            ema=ema,
            compile_backbone=compile_backbone,
            channels_last=channels_last,
            loggers=loggers,
            log_images=log_images,
            notes=own.notes(config),
        )
        return train_as(cfg, settings, terminal, check_data)


def train_as(cfg: Config, settings: Settings, terminal: Terminal, check_data: bool) -> Runner:
    """Train as a config and settings say.

    Raises:
        InputError: bad input, before any training.
    """
    began, loaders = time.monotonic(), ('train_dataloader', 'val_dataloader')
    cfg, work = edited(cfg, settings)
    with explaining(work):
        check_weights(work.cfg)
        check_config(work.cfg, loaders)
        with beginning(cfg, settings) as start:
            if check_data and is_first_process():
                check_datasets(work, loaders)
            runner = build_runner(cfg, terminal)
            check_losses(runner.model)
            with naming_missing_processes():
                begin(runner, start, settings.seed)
                runner.train()
    show_end(settings.what, runner, terminal, began)
    return runner


def evaluate(
    config: str,
    checkpoint: str,
    *,
    data: str | None = None,
    image_size: int | None = None,
    options: Mapping[str, Any] | None = None,
    work_dir: str | None = None,
    seed: int | None = None,
    launcher: str = 'none',
    out: str | None = None,
    show_dir: str | None = None,
    tta: bool = False,
    tiles: Tiles | None = None,
    compile_backbone: bool = False,
    verbose: bool = False,
) -> dict[str, float]:
    """Evaluate a checkpoint on a config's test data.

    Args:
        config: path of the config.
        checkpoint: a checkpoint of a training run; it must fit the model tensor by tensor.
        data: a data card, as for :func:`train`.
        image_size: as for :func:`train`.
        options: dotted keys and values that override the config.
        work_dir: where outputs go; ``work_dirs/<config name>`` by default.
        seed: overrides ``randomness.seed``.
        launcher: ``none``, or ``pytorch`` or ``slurm`` in a process that one of them started.
        out: folder for the predictions.
        show_dir: folder for pictures of truth and prediction.
        tta: average over scales and flips.
        tiles: evaluate images at their own resolution, so many tiles at a time as the config's batch has images.
        compile_backbone: compile the backbone.
        verbose: show on the terminal all that the log file gets.

    Returns:
        The metrics by name.

    Raises:
        InputError: bad input, before any inference.
    """
    settings = Settings(
        'evaluation',
        config,
        work_dir=work_dir,
        seed=seed,
        launcher=launcher,
        processes=world_size(),
        load_from=checkpoint,
        compile_backbone=compile_backbone,
        out=out,
        show_dir=show_dir,
        tta=tta,
        tiles=tiles,
    )
    with shown(verbose) as terminal:
        own, began = OwnData(data, image_size=image_size), time.monotonic()
        cfg, work = edited(read_model_config(config, options or {}, own), settings)
        with explaining(work):
            check_config(work.cfg, ('test_dataloader',))
            if is_first_process():
                check_datasets(work, ('test_dataloader',))
            runner = build_runner(cfg, terminal)
            metrics = runner.test()
        show_end(settings.what, runner, terminal, began)
        return metrics


def show_end(what: str, runner: Runner, terminal: Terminal, began: float) -> None:
    """Tell of a run's end: figures, files and next commands."""
    terminal.clear()
    metrics = next(hook.metrics for hook in runner.hooks if isinstance(hook, ProgressHook))
    for line in end(what, runner, time.monotonic() - began, metrics):
        terminal.say(line)


def edited(cfg: Config, settings: Settings) -> tuple[Config, Work]:
    """The config of a run, and the work that messages speak of: with the config as it is asked for.

    Raises:
        InputError: what is asked for does not go together.
    """
    cfg = edit(cfg, ASKED, settings)
    work = Work(settings.what, settings.config, deepcopy(cfg))
    with explaining(work):
        return edit(cfg, PROMISED, settings), work


def build_runner(cfg: Config, terminal: Terminal) -> Runner:
    """Build the runner, and join the other processes.

    Args:
        cfg: of the run.
        terminal: where the run is shown.

    Raises:
        InputError: parts of the model that do not fit each other.
    """
    kept = not torch.cuda.is_available() and keep_memory()
    if cfg.launcher != 'none' and not torch.cuda.is_available() and not torch.distributed.is_initialized():
        start_without_gpu(cfg.launcher, cfg.env_cfg.dist_cfg.get('timeout'))
    if cfg.randomness.get('deterministic'):
        # cuBLAS reads it when it is used first; other values, and none, let it choose algorithms by what is free.
        os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')
    runner = runner_class(terminal).from_cfg(cfg)
    runner.logger.addFilter(is_no_frozen_tensor)
    for hook in (HeadHook(terminal), ProgressHook(terminal)):
        runner.register_hook(hook)
    if kept:
        runner.register_hook(KeptMemoryHook())
    check_channels(runner.model, cfg)
    return runner

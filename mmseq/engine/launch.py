"""From a config file and a few options to a finished run; one way for detection and segmentation."""

import itertools
import os
import random
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
import torch.distributed
from mmengine.config import Config, ConfigDict
from mmengine.logging import print_log
from mmengine.runner import Runner

from mmseq.compat.allocator import keep_memory
from mmseq.config import existing_file, load_config
from mmseq.engine import recipe
from mmseq.engine.hooks.corrupt_data import tolerate
from mmseq.engine.hooks.kept_memory import KeptMemoryHook
from mmseq.engine.loggers import add_loggers
from mmseq.engine.preflight import check_class_counts, check_datasets
from mmseq.engine.processes import naming_missing_processes, start_without_gpu
from mmseq.engine.resume import go_on_from_checkpoint, make_resumable
from mmseq.errors import InputError
from mmseq.explain import explaining
from mmseq.explain.channels import check_channels
from mmseq.explain.work import Work
from mmseq.ranks import is_first_process, world_size

_RUNS = itertools.count()


def train(
    config: str,
    *,
    options: Mapping[str, Any] | None = None,
    work_dir: str | None = None,
    seed: int | None = None,
    launcher: str = 'none',
    resume: str | None = None,
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
) -> Runner:
    """Train and evaluate as a config says.

    Args:
        config: path of the config.
        options: dotted keys and values that override it.
        work_dir: where outputs go; ``work_dirs/<config name>`` by default.
        seed: overrides ``randomness.seed``.
        launcher: ``none``, or ``pytorch`` or ``slurm`` in a process that one of them started.
        resume: a checkpoint to go on from, or ``auto`` for the newest in the work dir.
        load_from: a checkpoint of a whole model to begin with.
        allow_partial: shell patterns of its tensors that need not fit the model and then start anew.
        amp: ``bfloat16`` or ``float16`` for mixed precision.
        auto_scale_lr: scale the learning rate to the effective batch.
        ema: momentum of a moving average of the weights, which is what is evaluated and saved.
        compile_backbone: compile the backbone.
        channels_last: keep 4-D weights and maps with the channels innermost.
        shard: ``zero`` or ``fsdp`` divide what training keeps among the processes.
        check_data: check annotations and a sample of the data first.
        deterministic: choose operators that repeat bit by bit, and write the final weights with their digest.
        loggers: ``tensorboard`` and ``wandb`` get what is logged, too.
        log_images: how many validation images are drawn at each evaluation; None is 8 with a logger, else 0.

    Returns:
        The runner after training.

    Raises:
        InputError: bad input, before any training.
    """
    cfg = load_config(config, options or {}, work_dir, seed, launcher)
    if resume not in (None, 'auto'):
        existing_file(resume, 'checkpoint to resume from')
    resume = make_resumable(cfg, resume)
    if deterministic:
        make_deterministic(cfg)
    begin_with(cfg, load_from, allow_partial, resume)
    if amp:
        use_amp(cfg, amp)
    recipe.apply(
        cfg,
        config,
        world_size(),
        auto_scale_lr=auto_scale_lr,
        ema=ema,
        compile_backbone=compile_backbone,
        channels_last=channels_last,
        shard=shard,
    )
    add_loggers(cfg, loggers, log_images)
    check_class_counts(cfg)
    if check_data and is_first_process():
        check_datasets(cfg, ('train_dataloader', 'val_dataloader'))
    # Messages speak of the config as it was given.
    work = Work('training', config, deepcopy(cfg))
    tolerate(cfg)
    with explaining(work):
        runner = build_runner(cfg)
        with naming_missing_processes():
            go_on_from_checkpoint(runner, resume)
            runner.train()
    return runner


def evaluate(
    config: str,
    checkpoint: str,
    *,
    options: Mapping[str, Any] | None = None,
    work_dir: str | None = None,
    seed: int | None = None,
    launcher: str = 'none',
    out: str | None = None,
    show_dir: str | None = None,
    tta: bool = False,
    compile_backbone: bool = False,
) -> dict[str, float]:
    """Evaluate a checkpoint on a config's test data.

    Args:
        config: path of the config.
        checkpoint: a checkpoint of a training run; it must fit the model tensor by tensor.
        options: dotted keys and values that override the config.
        work_dir: where outputs go; ``work_dirs/<config name>`` by default.
        seed: overrides ``randomness.seed``.
        launcher: ``none``, or ``pytorch`` or ``slurm`` in a process that one of them started.
        out: folder for the predictions.
        show_dir: folder for pictures of truth and prediction.
        tta: average over scales and flips.
        compile_backbone: compile the backbone.

    Returns:
        The metrics by name.

    Raises:
        InputError: bad input, before any inference.
    """
    cfg = load_config(config, options or {}, work_dir, seed, launcher)
    cfg.load_from = existing_file(checkpoint, 'checkpoint')
    cfg.resume = False
    # The weights come from the checkpoint, all of them: nothing is downloaded for a backbone that is overwritten.
    if cfg.model.get('backbone'):
        cfg.model.backbone.init_cfg = None
    check_class_counts(cfg)
    if is_first_process():
        check_datasets(cfg, ('test_dataloader',))
    if out:
        save_predictions(cfg, out)
    if show_dir:
        draw_pictures(cfg, show_dir)
    if tta:
        use_tta(cfg, config)
    if compile_backbone:
        recipe.add_hooks(cfg, [dict(type='mmseq.CompileHook')])
    with explaining(Work('evaluation', config, cfg)):
        return build_runner(cfg).test()


def begin_with(cfg: Config, load_from: str | None, allow_partial: Sequence[str], resume: str | None) -> None:
    """Set the weights of a whole model to begin with.

    Raises:
        InputError: no such file, ``--resume`` as well, or a permission without a checkpoint that it is for.
    """
    if load_from:
        if resume:
            raise InputError('--load-from begins a run and --resume goes on with one; give one of them')
        cfg.load_from = existing_file(load_from, 'checkpoint to begin with')
        # Its weights are overwritten, all of them: nothing is downloaded for them.
        if cfg.model.get('backbone'):
            cfg.model.backbone.init_cfg = None
    if allow_partial:
        hooks = [hook for hook in cfg.get('custom_hooks', []) if hook['type'] == 'mmseq.StrictLoadHook']
        if not cfg.get('load_from') or resume or not hooks:
            raise InputError('--allow-partial is a permission for --load-from CHECKPOINT; give that too')
        for hook in hooks:
            hook['allow_partial'] = list(allow_partial)


def make_deterministic(cfg: Config) -> None:
    """Only operators that give the same bits every time, and the digest of the final weights."""
    # cuBLAS reads it when it is used first; other values, and none, let it choose algorithms by what is free.
    os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')
    cfg.randomness = dict(cfg.get('randomness') or {}, deterministic=True)
    cfg.custom_hooks = [*cfg.get('custom_hooks', []), dict(type='mmseq.FinalWeightsHook')]


def use_amp(cfg: Config, dtype: str) -> None:
    """Train in mixed precision; bfloat16 needs no loss scaling and also runs on the CPU."""
    if dtype == 'float16':
        if not torch.cuda.is_available():
            raise InputError('--amp float16 needs a GPU; use --amp bfloat16')
        cfg.optim_wrapper.update(type='AmpOptimWrapper', dtype='float16', loss_scale='dynamic')
    else:
        cfg.optim_wrapper.type = 'mmseq.Bfloat16OptimWrapper'


def use_tta(cfg: Config, path: str) -> None:
    """Wrap model and pipeline for test-time augmentation."""
    if not cfg.get('tta_model') or not cfg.get('tta_pipeline'):
        raise InputError(f'config {path}: --tta needs tta_model and tta_pipeline in it')
    if cfg.model.type == 'mmseq.SlidingEncoderDecoder':
        # Logits are averaged over the views, and it keeps none.
        cfg.model.type = 'EncoderDecoder'
        print_log('--tta takes EncoderDecoder in place of SlidingEncoderDecoder, which keeps labels only', 'current')
    cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    for evaluator in evaluators(cfg):
        if evaluator.type == 'CocoMetric' and 'segm' in evaluator.metric:
            evaluator.metric = ['bbox']
            cfg.custom_hooks = [*cfg.get('custom_hooks', []), dict(type='mmseq.BoxesOnlyHook')]
            print_log('--tta merges boxes only: mask AP is left out', logger='current')


def save_predictions(cfg: Config, folder: str) -> None:
    """Make the metrics write what they evaluate: COCO json files, or label maps."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    for evaluator in evaluators(cfg):
        if evaluator.type == 'CocoMetric':
            evaluator.outfile_prefix = str(Path(folder) / 'predictions')
        elif evaluator.type == 'IoUMetric':
            evaluator.output_dir = folder
        else:
            raise InputError(f'--out: {evaluator.type} cannot write its predictions')


def draw_pictures(cfg: Config, folder: str) -> None:
    """Draw every test image into a folder."""
    if world_size() > 1:
        raise InputError('--show-dir: upstream draws in the first process only; leave --gpus out')
    path = Path(folder).resolve()
    path.mkdir(parents=True, exist_ok=True)
    cfg.custom_hooks = [*cfg.get('custom_hooks', []), dict(type='mmseq.PicturesHook', out_dir=str(path))]


def evaluators(cfg: Config) -> list[ConfigDict]:
    """The test metrics of a config as a list."""
    found = cfg.test_evaluator
    return list(found) if isinstance(found, (list, tuple)) else [found]


def build_runner(cfg: Config) -> Runner:
    """Build the runner, and join the other processes.

    Raises:
        InputError: parts of the model that do not fit each other.
    """
    kept = not torch.cuda.is_available() and keep_memory()
    if cfg.launcher != 'none' and not torch.cuda.is_available() and not torch.distributed.is_initialized():
        start_without_gpu(cfg.launcher, cfg.env_cfg.dist_cfg.get('timeout'))
    seed = cfg.get('randomness', {}).get('seed')
    if seed is None:
        # Without a number on record a resumed run would see the data in another order.
        cfg.randomness = dict(cfg.get('randomness', {}), seed=random.SystemRandom().randrange(2**31))
    # mmengine keeps one visualiser of a name per process: a second run's figures would go into the first one's folder.
    settings = cfg.get('visualizer') or ConfigDict()
    name = settings.get('name')
    settings['name'] = f'{name}_{next(_RUNS)}'
    runner = Runner.from_cfg(cfg)
    if name:
        runner.cfg.visualizer.name = name
    if kept:
        runner.register_hook(KeptMemoryHook())
    check_channels(runner.model, cfg)
    return runner

"""The knobs of fine-tuning that a command line turns: what each changes in a config, and what the log says of it."""

from typing import Any

from mmengine.config import Config, ConfigDict

from mmseq.errors import InputError

SHARDINGS = ('zero', 'fsdp')


def apply(
    cfg: Config,
    path: str,
    processes: int,
    *,
    auto_scale_lr: bool = False,
    ema: float | None = None,
    compile_backbone: bool = False,
    channels_last: bool = False,
    shard: str | None = None,
) -> None:
    """Write the knobs into a config.

    Args:
        cfg: the config; changed in place.
        path: its file, for messages.
        processes: processes of the run.
        auto_scale_lr: scale the learning rate to the effective batch.
        ema: momentum of an exponential moving average of the weights.
        compile_backbone: compile the backbone.
        channels_last: keep 4-D weights and maps with the channels innermost.
        shard: ``zero`` or ``fsdp``.

    Raises:
        InputError: a knob that does not go with the config or with another knob.
    """
    if cfg.get('compile'):
        # torch 2.14 fails on the training step that mmengine hands it: InternalTorchDynamoError.
        raise InputError(f"config {path}: compile= is mmengine's, which fails here; take it out and give --compile")
    notes = [scale_learning_rate(cfg, path, processes, auto_scale_lr)]
    notes += check_accumulation(cfg, path)
    hooks: list[dict[str, Any]] = []
    if shard:
        hooks += use_sharding(cfg, shard, processes, ema)
    if ema is not None:
        if not 0 < ema < 1:
            raise InputError(f'--ema {ema}: expected a momentum above 0 and below 1, as 0.0002')
        hooks.append(dict(type='EMAHook', momentum=ema))
    if compile_backbone:
        hooks.append(dict(type='mmseq.CompileHook'))
    if channels_last:
        hooks.append(dict(type='mmseq.ChannelsLastHook'))
    add_hooks(cfg, [*hooks, dict(type='mmseq.RecipeHook', notes=notes)])


def add_hooks(cfg: Config, hooks: list[dict[str, Any]]) -> None:
    """Append hooks to those of a config."""
    cfg.custom_hooks = [*cfg.get('custom_hooks', []), *map(ConfigDict, hooks)]


def accumulation(cfg: Config) -> int:
    """Iterations whose gradients make one update."""
    return cfg.optim_wrapper.get('accumulative_counts', 1)


def scale_learning_rate(cfg: Config, path: str, processes: int, enable: bool) -> str:
    """Scale the rate linearly to the images per update, if asked for; in any case say what that is, or would be.

    mmengine's own scaling leaves gradient accumulation out, so this one stands in for it.

    Raises:
        InputError: asked for, but the config does not name the recipe's batch.
    """
    scaling = cfg.get('auto_scale_lr') or {}
    base = scaling.get('base_batch_size')
    images, updates = cfg.train_dataloader.batch_size, accumulation(cfg)
    batch = images * processes * updates
    text = f'effective batch {batch} ({images} images x {processes} processes x {updates} accumulated)'
    enable = enable or bool(scaling.get('enable'))
    if base is None:
        if enable:
            raise InputError(f'config {path}: --auto-scale-lr needs auto_scale_lr=dict(base_batch_size=...) in it')
        return f'{text}; the config does not say what batch its learning rate is for (auto_scale_lr.base_batch_size)'
    scaling.enable = False
    text += f', recipe for {base}'
    optimizer = cfg.optim_wrapper.optimizer
    if batch == base:
        return f'{text}: rate {optimizer.lr:g} as it is'
    scaled = optimizer.lr * batch / base
    if not enable:
        return f'{text}: rate {optimizer.lr:g} not scaled; --auto-scale-lr would make it {scaled:g}'
    text += f': rate scaled from {optimizer.lr:g} to {scaled:g}'
    optimizer.lr = scaled
    return text


def check_accumulation(cfg: Config, path: str) -> list[str]:
    """What to say of gradient accumulation, if there is any.

    Raises:
        InputError: checkpoints by iteration would fall between two updates, and lose gradients on resume.
    """
    count = accumulation(cfg)
    if count == 1:
        return []
    checkpoint = cfg.get('default_hooks', {}).get('checkpoint') or {}
    interval = checkpoint.get('interval', -1)
    if not checkpoint.get('by_epoch', True) and interval > 0 and interval % count:
        raise InputError(
            f'config {path}: default_hooks.checkpoint.interval={interval} is no multiple of '
            f'optim_wrapper.accumulative_counts={count}: a resumed run would lose gradients'
        )
    return [f'{count} iterations make one update; schedules, intervals and EMA go on counting iterations']


def use_sharding(cfg: Config, kind: str, processes: int, ema: float | None) -> list[dict[str, Any]]:
    """Divide optimiser states (``zero``), or weights, gradients and states (``fsdp``) among the processes.

    Returns:
        The hooks that it takes.

    Raises:
        InputError: one process, or an average of weights that no process has.
    """
    if kind not in SHARDINGS:
        raise InputError(f'--shard {kind}: expected {" or ".join(SHARDINGS)}')
    if processes == 1:
        raise InputError(f'--shard {kind} divides among processes: start them with --gpus N')
    if kind == 'zero':
        optimizer = cfg.optim_wrapper.optimizer
        optimizer.optimizer_type = optimizer.type
        optimizer.type = 'ZeroRedundancyOptimizer'
        return [dict(type='mmseq.ShardedStateHook')]
    if ema is not None:
        raise InputError('--ema averages whole weights, which --shard fsdp leaves to no process; use --shard zero')
    cfg.model_wrapper_cfg = ConfigDict(type='mmseq.FullyShardedModel')
    return [dict(type='mmseq.ShardedStateHook')]

"""Learning rate, gradient accumulation and sharding in a config, and what the log says of them."""

from mmengine.config import Config, ConfigDict

from mmseq.errors import InputError

SHARDINGS = ('zero', 'fsdp')


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
    scaling['enable'] = False
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


def divide(cfg: Config, kind: str, processes: int) -> None:
    """Divide optimiser states (``zero``), or weights, gradients and states (``fsdp``) among the processes.

    Raises:
        InputError: an unknown kind, or one process.
    """
    if kind not in SHARDINGS:
        raise InputError(f'--shard {kind}: expected {" or ".join(SHARDINGS)}')
    if processes == 1:
        raise InputError(f'--shard {kind} divides among processes: start them with --gpus N')
    if kind == 'zero':
        optimizer = cfg.optim_wrapper.optimizer
        optimizer.optimizer_type = optimizer.type
        optimizer.type = 'ZeroRedundancyOptimizer'
    else:
        cfg.model_wrapper_cfg = ConfigDict(type='mmseq.FullyShardedModel')

"""From a config to the config of a run: one ordered list of edits, for training and evaluation alike.

An edit takes a config, changes it in place and returns it; what it needs beside the config stands in `Settings`. First
come the edits that do what the config and the options ask for, with our loops for mmengine's (`ASKED`): messages about
a failing run name the keys of the config as it is then. Then comes what would move those keys (`PROMISED`): the hooks
that every run gets, whatever its config says, metrics of our own, and wrapped data sets.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
from mmengine.config import Config, ConfigDict
from mmengine.hooks import CheckpointHook
from mmengine.logging import print_log
from mmengine.registry import HOOKS

from mmseq.addresses import public
from mmseq.checkpoints.fetch import locate
from mmseq.config import qualified, replace_synchronised_norms, work_dir_of
from mmseq.datasets.nesting import loader_datasets
from mmseq.engine import schedule
from mmseq.engine.hooks.corrupt_data import tolerate
from mmseq.engine.loggers import LOGGERS
from mmseq.engine.own_versions import evaluators, image_root, use_own_versions, use_upstream_names
from mmseq.engine.paramwise import check_paramwise
from mmseq.engine.recipe import check_accumulation, divide, scale_learning_rate
from mmseq.errors import InputError
from mmseq.files import unique
from mmseq.large.tiles import Tiles, without_resizing
from mmseq.nested import walk
from mmseq.pictures.palette import complete_palettes

# What the promises rest on, in the order in which they are called at equal priority.
PROMISED_HOOKS = (
    'mmseq.StrictLoadHook',
    'mmseq.RunRecordHook',
    'mmseq.SharedAnnotationsHook',
    'mmseq.TrialHook',
    'mmseq.RandomStreamsHook',
    'mmseq.UnusedParametersHook',
    'mmseq.BadNumbersHook',
    'mmseq.CorruptDataHook',
    'mmseq.LoaderShareHook',
    'mmseq.EvalArtifactsHook',
    'mmseq.CurvesHook',
    'mmseq.PreemptionHook',
)
# mmengine's loops, and those that go on with the very next batch after a resume.
LOOPS = {'EpochBasedTrainLoop': 'mmseq.EpochLoop', 'IterBasedTrainLoop': 'mmseq.IterLoop'}
# Optimizers whose fused form torch has on every device that models train on.
FUSED = ('AdamW', 'Adam', torch.optim.AdamW, torch.optim.Adam)
SEED = 0
PICTURES_WITH_A_LOGGER = 8
_RUNS = itertools.count()


@dataclass(frozen=True)
class Settings:
    """What is asked of a run beside its config; `mmseq.engine.launch` describes each entry.

    Args:
        what: the kind of run.
        config: path of the config.
        processes: processes of the run.
        resume: as `train` takes it, or as the config says (`resume_of`).
        may_begin: a run may begin where ``auto`` finds no checkpoint.
        anew: move an earlier run of the work dir aside.
        load_from: a checkpoint to begin with; of an evaluation, the one that is evaluated.
        notes: the first lines of the log.
    """

    what: Literal['training', 'evaluation']
    config: str
    work_dir: str | None = None
    seed: int | None = None
    launcher: str = 'none'
    processes: int = 1
    resume: str | None = None
    may_begin: bool = True
    anew: bool = False
    load_from: str | None = None
    allow_partial: Sequence[str] = ()
    deterministic: bool = False
    amp: str | None = None
    auto_scale_lr: bool = False
    shard: str | None = None
    ema: float | None = None
    compile_backbone: bool = False
    channels_last: bool = False
    loggers: Sequence[str] = ()
    log_images: int | None = None
    out: str | None = None
    show_dir: str | None = None
    tta: bool = False
    tiles: Tiles | None = None
    notes: Sequence[str] = ()


Edit = Callable[[Config, Settings], Config]


def edit(cfg: Config, edits: Sequence[Edit], settings: Settings) -> Config:
    """Make edits, one after the other.

    Raises:
        InputError: what is asked for does not go with the config, or with something else that is asked for.
    """
    for make in edits:
        cfg = make(cfg, settings)
    return cfg


def resume_of(cfg: Config) -> str | None:
    """What a config itself says about resuming: a checkpoint, ``auto`` for the newest one, or None."""
    return (cfg.get('load_from') or 'auto') if cfg.get('resume') else None


def add_hooks(cfg: Config, *hooks: Mapping[str, Any]) -> Config:
    """Append hooks to those of a config."""
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), *map(ConfigDict, hooks)]
    return cfg


def note(cfg: Config, *texts: str) -> Config:
    """Lines for the log of the run."""
    for hook in cfg.custom_hooks:
        if hook_type(hook) == 'mmseq.RecipeHook':
            hook.notes = [*hook.notes, *texts]
    return cfg


def hook_type(hook: Any) -> Any:
    """What a config says of a hook's class: a name, or the class itself."""
    return hook.get('type') if isinstance(hook, Mapping) else type(hook)


# Where a run is and what it begins with.


def require_training(cfg: Config, settings: Settings) -> Config:
    """A training has data, a loop and an optimiser."""
    missing = [key for key in ('train_dataloader', 'train_cfg', 'optim_wrapper') if not cfg.get(key)]
    if missing and settings.what == 'training':
        raise InputError(f'config {settings.config}: has no {" and no ".join(missing)}, which a training needs')
    return cfg


def begin_notes(cfg: Config, settings: Settings) -> Config:
    """Lines for the log begin anew; a config that an earlier run left behind has that run's."""
    hooks = cfg.get('custom_hooks') or []
    cfg.custom_hooks = [hook for hook in hooks if hook_type(hook) != 'mmseq.RecipeHook']
    return add_hooks(cfg, dict(type='mmseq.RecipeHook', notes=[*settings.notes]))


def name_upstream_classes(cfg: Config, settings: Settings) -> Config:
    """A config that an earlier run left behind names our metrics; what comes next knows upstream's names."""
    return use_upstream_names(cfg)


def set_work_dir(cfg: Config, settings: Settings) -> Config:
    """Outputs go to ``--work-dir``, the config's own folder, or ``work_dirs/<config name>``."""
    cfg.work_dir = work_dir_of(cfg, settings.work_dir)
    return cfg


def set_seed(cfg: Config, settings: Settings) -> Config:
    """The seed is ``--seed``, the config's, or 0: without a number on record a resumed run sees the data anew."""
    randomness = cfg.get('randomness') or {}
    given = randomness.get('seed') if settings.seed is None else settings.seed
    cfg.randomness = dict(randomness, seed=SEED if given is None else given)
    return cfg if given is not None else note(cfg, f'neither the config nor --seed names a seed: it is {SEED}')


def set_launcher(cfg: Config, settings: Settings) -> Config:
    """Processes find each other through the environment that their launcher sets."""
    cfg.launcher = settings.launcher
    return cfg


def communicate_without_gpu(cfg: Config, settings: Settings) -> Config:
    """Without a GPU, processes speak over gloo, and no wrapper gets the number of a device."""
    if not torch.cuda.is_available():
        cfg.setdefault('env_cfg', ConfigDict())
        cfg.env_cfg.dist_cfg = dict(cfg.env_cfg.get('dist_cfg') or {}, backend='gloo')
        cfg.setdefault('model_wrapper_cfg', ConfigDict(type='MMDistributedDataParallel', broadcast_buffers=False))
        # mmengine hands every wrapper a device index, which torch refuses for a model on the CPU.
        cfg.model_wrapper_cfg.setdefault('device_ids', None)
    return cfg


def use_plain_norms(cfg: Config, settings: Settings) -> Config:
    """SyncBN becomes BN where it cannot work; several processes then evaluate with the first one's statistics."""
    if torch.cuda.is_available() and settings.processes > 1:
        return cfg
    replaced = replace_synchronised_norms(cfg)
    return add_hooks(cfg, dict(type='mmseq.SharedStatisticsHook')) if replaced and settings.processes > 1 else cfg


def leave_resuming_to_launcher(cfg: Config, settings: Settings) -> Config:
    """The launcher looks for the checkpoint to resume from, since mmengine takes damaged ones too."""
    if settings.anew and settings.resume == 'auto':
        raise InputError('--anew begins a run and --resume goes on with one; give one of them')
    if cfg.get('resume'):
        cfg.load_from = None
    cfg.resume = False
    return cfg


def begin_with_checkpoint(cfg: Config, settings: Settings) -> Config:
    """A whole model's weights to begin with, or to evaluate; nothing is downloaded for what they overwrite."""
    if settings.load_from and settings.resume:
        raise InputError('--load-from begins a run and --resume goes on with one; give one of them')
    if name := settings.load_from or cfg.get('load_from'):
        cfg.load_from = str(locate(name))
        for node in (cfg.model, cfg.model.get('backbone')):
            if node and 'init_cfg' in node:
                node.init_cfg = None
    return cfg


def fetch_secret_addresses(cfg: Config, settings: Settings) -> Config:
    """Weights whose address has a password or a token are fetched: the config, which is kept, names the file."""
    for node in walk(cfg._cfg_dict):
        for key in ('checkpoint', 'pretrained'):
            name = node.get(key)
            if isinstance(name, str) and name != public(name):
                node[key] = str(locate(name))
    return cfg


# How a model is trained.


def make_deterministic(cfg: Config, settings: Settings) -> Config:
    """``--deterministic``: operators that repeat bit by bit, where there are such, and the digest of the weights."""
    if not settings.deterministic:
        return cfg
    cfg.randomness.deterministic = True
    return add_hooks(cfg, dict(type='mmseq.DeterminismHook'), dict(type='mmseq.FinalWeightsHook'))


def use_amp(cfg: Config, settings: Settings) -> Config:
    """``--amp``: mixed precision; bfloat16 needs no loss scaling and also runs on CPUs that have it."""
    if settings.amp is None:
        return cfg
    wrapper, options = cfg.optim_wrapper, ('dtype', 'loss_scale', 'use_fsdp', 'force')
    name = str(wrapper.get('type') or 'OptimWrapper')
    if name.rpartition('.')[2] not in ('OptimWrapper', 'AmpOptimWrapper', 'Bfloat16OptimWrapper'):
        raise InputError(f'config {settings.config}: --amp would take the place of optim_wrapper.type={name}')
    # Of the config's own mixed precision, which gives way.
    given = {key: wrapper.pop(key) for key in options if key in wrapper}
    note(cfg, *([f'--amp {settings.amp} stands for {name} with {given}'] if given else []))
    if settings.amp == 'float16':
        if not torch.cuda.is_available():
            raise InputError('--amp float16 needs a GPU; use --amp bfloat16')
        wrapper.update(type='AmpOptimWrapper', dtype='float16', loss_scale='dynamic')
    else:
        wrapper.type = 'mmseq.Bfloat16OptimWrapper'
        wrapper.update(dict(force=True) if settings.amp == 'force' else {})
    return cfg


def fuse_optimizer(cfg: Config, settings: Settings) -> Config:
    """AdamW and Adam update a group of tensors in one pass, unless the config says how they do."""
    optimizer = (cfg.get('optim_wrapper') or {}).get('optimizer')
    if settings.what == 'training' and isinstance(optimizer, dict):
        name = optimizer.get('type')
        if name in FUSED and not set(optimizer) & {'fused', 'foreach', 'capturable', 'differentiable'}:
            optimizer['fused'] = True
    return cfg


def scale_rate(cfg: Config, settings: Settings) -> Config:
    """``--auto-scale-lr``: the rate in proportion to the images per update; in any case the log says what that is."""
    if settings.what == 'training':
        note(cfg, scale_learning_rate(cfg, settings.config, settings.processes, settings.auto_scale_lr))
    return cfg


def accumulate_gradients(cfg: Config, settings: Settings) -> Config:
    """Gradient accumulation is named in the log, and no checkpoint falls between two updates."""
    return note(cfg, *check_accumulation(cfg, settings.config)) if settings.what == 'training' else cfg


def fit_schedule(cfg: Config, settings: Settings) -> Config:
    """The schedule ends where the run does, also where the run alone was made longer or shorter."""
    if settings.what == 'training' and (text := schedule.fit(cfg, settings.config)):
        note(cfg, text)
    return cfg


def check_parameters(cfg: Config, settings: Settings) -> Config:
    """Options for single parameters are ones that something reads."""
    if settings.what == 'training':
        check_paramwise(cfg, settings.config)
    return cfg


def shard(cfg: Config, settings: Settings) -> Config:
    """``--shard``: optimiser states, or weights and gradients too, are divided among the processes."""
    if settings.shard is None:
        return cfg
    divide(cfg, settings.shard, settings.processes)
    if settings.shard == 'fsdp' and settings.ema is not None:
        raise InputError('--ema averages whole weights, which --shard fsdp leaves to no process; use --shard zero')
    return add_hooks(cfg, dict(type='mmseq.ShardedStateHook'))


def average_weights(cfg: Config, settings: Settings) -> Config:
    """``--ema``: an exponential moving average of the weights, which is evaluated and saved."""
    if settings.ema is None:
        return cfg
    if not 0 < settings.ema < 1:
        raise InputError(f'--ema {settings.ema}: expected a momentum above 0 and below 1, as 0.0002')
    return add_hooks(cfg, dict(type='EMAHook', momentum=settings.ema))


def compile_backbone(cfg: Config, settings: Settings) -> Config:
    """``--compile``: the backbone alone is compiled."""
    if settings.what == 'training' and cfg.get('compile'):
        # torch 2.14 fails on the training step that mmengine hands it: InternalTorchDynamoError.
        raise InputError(
            f"config {settings.config}: compile= is mmengine's, which fails here; take it out and give --compile"
        )
    return add_hooks(cfg, dict(type='mmseq.CompileHook')) if settings.compile_backbone else cfg


def keep_channels_last(cfg: Config, settings: Settings) -> Config:
    """``--channels-last``: 4-D weights and maps have the channels innermost."""
    return add_hooks(cfg, dict(type='mmseq.ChannelsLastHook')) if settings.channels_last else cfg


# What a run tells.


def log_elsewhere(cfg: Config, settings: Settings) -> Config:
    """``--log-to``: TensorBoard and Weights & Biases get the logged values too."""
    for name in settings.loggers:
        # wandb leaves folders of its name, which look like packages without an origin
        if (found := find_spec(name)) is None or found.origin is None:
            raise InputError(f"--log-to {name}: the package is not installed; pip install 'mmseq[log]'")
    if settings.what == 'training':
        visualizer = cfg.setdefault('visualizer', ConfigDict(type='Visualizer', vis_backends=None))
        local = [dict(type='LocalVisBackend')]
        own = [dict(type=LOGGERS[name]) for name in dict.fromkeys(settings.loggers)]
        visualizer.vis_backends = [*(visualizer.get('vis_backends') or local), *own]
    return cfg


def draw_validation_images(cfg: Config, settings: Settings) -> Config:
    """``--log-images``: some are drawn at each evaluation; without a logger none."""
    images = settings.log_images
    if images is None:
        images = PICTURES_WITH_A_LOGGER if settings.loggers else 0
    if images < 0:
        raise InputError(f'--log-images {images}: a number of images, 0 for none')
    return add_hooks(cfg, dict(type='mmseq.ValidationPicturesHook', images=images)) if images else cfg


def save_predictions(cfg: Config, settings: Settings) -> Config:
    """``--out``: the metrics write what they evaluate, as COCO json files or label maps."""
    if not settings.out:
        return cfg
    Path(settings.out).mkdir(parents=True, exist_ok=True)
    taken: set[str] = set()
    for evaluator in evaluators(cfg):
        kind = qualified(evaluator, cfg.get('default_scope') or 'mmengine')
        if kind in ('mmdet.CocoMetric', 'mmdet.LVISMetric'):
            evaluator.outfile_prefix = str(Path(settings.out) / unique('predictions', taken))
        elif kind == 'mmseg.IoUMetric':
            evaluator.output_dir = settings.out
        else:
            raise InputError(f'--out: {evaluator.type} cannot write its predictions')
    return cfg


def draw_test_images(cfg: Config, settings: Settings) -> Config:
    """``--show-dir``: every test image is drawn into a folder."""
    if not settings.show_dir:
        return cfg
    if settings.processes > 1:
        raise InputError('--show-dir: upstream draws in the first process only; leave --gpus out')
    path = Path(settings.show_dir).resolve()
    path.mkdir(parents=True, exist_ok=True)
    root = image_root(cfg, 'test_dataloader')
    return add_hooks(cfg, dict(type='mmseq.PicturesHook', out_dir=str(path), image_root=root))


def use_tta(cfg: Config, settings: Settings) -> Config:
    """``--tta``: model and pipeline are wrapped for test-time augmentation."""
    if not settings.tta:
        return cfg
    if not cfg.get('tta_model') or not cfg.get('tta_pipeline'):
        raise InputError(f'config {settings.config}: --tta needs tta_model and tta_pipeline in it')
    if cfg.model.type == 'mmseq.SlidingEncoderDecoder':
        # Logits are averaged over the views, and it keeps none.
        cfg.model.type = 'EncoderDecoder'
        print_log('--tta takes EncoderDecoder in place of SlidingEncoderDecoder, which keeps labels only', 'current')
    for _, dataset in loader_datasets(cfg.test_dataloader, 'test_dataloader'):
        dataset['pipeline'] = cfg.tta_pipeline
    # Else mmengine puts the config's top-level one in its place, without the padding that the backbone's strides need.
    preprocessor = cfg.model.get('data_preprocessor')
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model, data_preprocessor=preprocessor)
    for evaluator in evaluators(cfg):
        kind = qualified(evaluator, cfg.get('default_scope') or 'mmengine')
        if kind == 'mmdet.CocoMetric' and 'segm' in evaluator.get('metric', ()):
            evaluator.metric = ['bbox']
            add_hooks(cfg, dict(type='mmseq.BoxesOnlyHook'))
            print_log('--tta merges boxes only: mask AP is left out', logger='current')
    return cfg


def use_tiles(cfg: Config, settings: Settings) -> Config:
    """``--tiles``: test images keep their resolution, and the model predicts them tile by tile."""
    if settings.tiles is None:
        return cfg
    if settings.tta:
        raise InputError('--tta averages whole images, and --tiles cuts them; give one of the two')
    for _, dataset in loader_datasets(cfg.test_dataloader, 'test_dataloader'):
        dataset['pipeline'] = without_resizing(dataset['pipeline'])
    own, batch = settings.tiles, cfg.test_dataloader.get('batch_size', 1)
    return add_hooks(cfg, dict(type='mmseq.TilesHook', size=own.size, overlap=own.overlap, batch=batch))


# Our own classes for mmengine's.


def resume_at_next_batch(cfg: Config, settings: Settings) -> Config:
    """mmengine's loops give way to those that go on with the very next batch after a resume."""
    loop = cfg.get('train_cfg') or {}
    if 'by_epoch' in loop:
        loop['type'] = 'EpochBasedTrainLoop' if loop.pop('by_epoch') else 'IterBasedTrainLoop'
    name = loop.get('type')
    if isinstance(name, str) and name.removeprefix('mmengine.') in LOOPS:
        loop['type'] = LOOPS[name.removeprefix('mmengine.')]
    return cfg


def save_whole_checkpoints(cfg: Config, settings: Settings) -> Config:
    """mmengine's checkpoint hook gives way to the one that keeps the last checkpoint until the next is whole."""
    cfg.setdefault('default_hooks', ConfigDict())
    hook = cfg.default_hooks.setdefault('checkpoint', ConfigDict(type='CheckpointHook', interval=1))
    name = hook_type(hook) if hook else None
    if name in ('CheckpointHook', 'mmengine.CheckpointHook', CheckpointHook):
        hook['type'] = name = 'mmseq.SafeCheckpointHook'
    if settings.what == 'training' and name != 'mmseq.SafeCheckpointHook':
        note(cfg, f'default_hooks.checkpoint is {name}: it decides whether a kill can destroy a checkpoint')
    return cfg


# What every run gets.


def keep_promises(cfg: Config, settings: Settings) -> Config:
    """What a promise rests on stands before the config's own hooks; one of the same class takes its place."""
    own, first = cfg.custom_hooks, []
    with HOOKS.switch_scope_and_registry(cfg.get('default_scope') or 'mmengine') as registry:
        classes = [registry.get(found) if isinstance(found := hook_type(hook), str) else found for hook in own]
        for name in PROMISED_HOOKS:
            promised = registry.get(name)
            # A name that nobody knows is found out where it is built.
            taken = [hook for hook, cls in zip(own, classes) if isinstance(cls, type) and issubclass(cls, promised)]
            first += taken or [ConfigDict(type=name)]
            note(cfg, *(f'custom_hooks: {hook} stands for {name}' for hook in taken if hook != dict(type=name)))
    placed = {id(hook) for hook in first}
    cfg.custom_hooks = [*first, *(hook for hook in own if id(hook) not in placed)]
    return cfg


def give_right_figures(cfg: Config, settings: Settings) -> Config:
    """Upstream's metrics and test-time augmentation give way to ours where upstream's figures are wrong."""
    return use_own_versions(cfg)


def permit_partial_loading(cfg: Config, settings: Settings) -> Config:
    """``--allow-partial``: these tensors of the checkpoint to begin with need not fit."""
    if not settings.allow_partial:
        return cfg
    if not cfg.get('load_from') or settings.resume:
        raise InputError('--allow-partial needs --load-from CHECKPOINT; give that too')
    # `keep_promises` has put it first.
    cfg.custom_hooks[0].allow_partial = list(settings.allow_partial)
    return cfg


def colour_all_classes(cfg: Config, settings: Settings) -> Config:
    """A palette with fewer colours than there are classes gets the others."""
    return note(cfg, *complete_palettes(cfg))


def skip_damaged_files(cfg: Config, settings: Settings) -> Config:
    """Training data are wrapped, so that damaged files are skipped, named and counted."""
    if settings.what == 'training':
        tolerate(cfg)
    return cfg


def name_visualizer(cfg: Config, settings: Settings) -> Config:
    """Each run of a process has a visualizer of its own: mmengine keeps one of a name, with the first run's folder."""
    if cfg.get('visualizer'):
        cfg.visualizer.name = f'{cfg.visualizer.get("name") or "visualizer"}_{next(_RUNS)}'
    return cfg


ASKED: tuple[Edit, ...] = (
    require_training,
    begin_notes,
    name_upstream_classes,
    set_work_dir,
    set_seed,
    set_launcher,
    communicate_without_gpu,
    use_plain_norms,
    leave_resuming_to_launcher,
    begin_with_checkpoint,
    fetch_secret_addresses,
    make_deterministic,
    use_amp,
    fuse_optimizer,
    scale_rate,
    accumulate_gradients,
    fit_schedule,
    check_parameters,
    shard,
    average_weights,
    compile_backbone,
    keep_channels_last,
    log_elsewhere,
    draw_validation_images,
    save_predictions,
    draw_test_images,
    use_tta,
    use_tiles,
    resume_at_next_batch,
    save_whole_checkpoints,
)
PROMISED: tuple[Edit, ...] = (
    keep_promises,
    permit_partial_loading,
    give_right_figures,
    colour_all_classes,
    skip_damaged_files,
    name_visualizer,
)

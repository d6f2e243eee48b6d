"""A config's model with the weights of a checkpoint, outside of any run."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from logging import LogRecord
from typing import TYPE_CHECKING, Any

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger, print_log
from mmengine.registry import DefaultScope, init_default_scope
from torch import nn

from mmseq.checkpoints.class_names import difference, names
from mmseq.checkpoints.fetch import locate
from mmseq.checkpoints.storage import load_file, load_meta
from mmseq.checkpoints.whole import load_whole
from mmseq.compat.allocator import keep_memory
from mmseq.config import Change, load_config, read_metainfo
from mmseq.datasets.nesting import dataset_class, loader_datasets
from mmseq.errors import InputError
from mmseq.explain.names import unknown_type
from mmseq.explain.work import inference
from mmseq.files import from_here
from mmseq.model.build import build_here

if TYPE_CHECKING:
    from mmengine.model import BaseModel


def load_trained(
    config: str,
    checkpoint: str | None,
    *,
    options: Mapping[str, Any] | None = None,
    work_dir: str | None = None,
    device: str | torch.device | None = None,
    change: Change | None = None,
) -> tuple[Config, 'BaseModel']:
    """Build a config's model for inference.

    Args:
        config: of the model; see :func:`mmseq.config.read_config`.
        checkpoint: a checkpoint of a training run; it must fit the model tensor by tensor. None gives the weights that
            training begins with.
        options: dotted keys and values that override the config.
        work_dir: where outputs go; ``work_dirs/<config name>`` by default, in ``cfg.work_dir`` afterwards.
        device: ``cuda`` if there is one, else ``cpu``, by default.
        change: what is changed in the config before ``options`` override it.

    Returns:
        The config and the model in evaluation mode, with ``model.cfg`` and ``model.dataset_meta`` (classes and palette)
        as the functions of ``mmdet.apis`` and ``mmseg.apis`` expect them.

    Raises:
        InputError: no such file, a config that builds no model, a checkpoint of another model, a device that is absent.
    """
    cfg = load_config(config, options or {}, work_dir, change)
    if checkpoint is not None:
        checkpoint = str(locate(checkpoint))
        if cfg.model.get('backbone'):
            # Overwritten as a whole: nothing is downloaded for it.
            cfg.model.backbone.init_cfg = None
    target = torch.device(device or ('cuda' if torch.cuda.is_available() else 'cpu'))
    if target.type == 'cuda' and not torch.cuda.is_available():
        raise InputError(f'device {device}: there is no CUDA GPU here; use cpu')
    if target.type == 'cpu':
        keep_memory()
    # For good, since upstream's functions build their pipelines later.
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    model, known = build_here(cfg), {}
    if checkpoint is None:
        with in_single_lines():
            model.init_weights()
    else:
        known = fill(model, checkpoint)
    model.cfg, model.dataset_meta = cfg, dataset_meta(cfg, known)
    return cfg, model.to(target).eval()


@contextmanager
def in_single_lines() -> Iterator[None]:
    """Keep from the log what begins with a line break: mmengine's paragraph on how each parameter was initialised."""
    logger = MMLogger.get_current_instance()

    def single(record: LogRecord) -> bool:
        return not record.getMessage().startswith('\n')

    logger.addFilter(single)
    try:
        yield
    finally:
        logger.removeFilter(single)


def fill(model: nn.Module, checkpoint: str) -> dict[str, Any]:
    """Load a checkpoint into a model and return its data set's classes and colours.

    Raises:
        InputError: the file is damaged, unsafe, or of another model.
    """
    print_log(load_whole(model, load_file(checkpoint), from_here(checkpoint)), logger='current')
    meta = load_meta(checkpoint).get('dataset_meta')
    return dict(meta) if isinstance(meta, Mapping) else {}


def dataset_meta(cfg: Config, known: Mapping[str, Any]) -> dict[str, Any]:
    """Classes and palette of a config's test data, or of its training data, as far as a checkpoint does not say them.

    Args:
        cfg: the config.
        known: what the checkpoint says; a file of class names is not looked for if they stand here.

    Raises:
        InputError: no such data set, or file of class names.
    """
    for name in ('test_dataloader', 'val_dataloader', 'train_dataloader'):
        for _, dataset in loader_datasets(cfg.get(name), name):
            with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmengine')):
                found = dataset_class(dataset)
            if found is None:
                work = inference(cfg)
                scope = cfg.get('default_scope', 'mmengine')
                raise InputError(work.say(unknown_type(dataset['type'], scope, 'dataset', work)))
            own = dataset.get('metainfo') or {}
            # A file of names is read only where it is needed.
            said = difference(names(known.get('classes')), names({**found.METAINFO, **own}.get('classes')))
            if said:
                print_log(f"the checkpoint's classes are used: {said}", 'current', logging.WARNING)
            return {**found.METAINFO, **read_metainfo({**own, **known})}
    return dict(known)

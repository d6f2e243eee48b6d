"""The config of each backbone: one config for all, with its backbone and the channels that the head takes replaced."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from pprint import pformat
from typing import Any

import torch

from mmseq.compat import shipped_configs
from mmseq.config import config_file, read_config
from mmseq.errors import InputError
from mmseq.files import write_text
from mmseq.side_by_side.candidates import Candidate

Channels = Sequence[int]


@dataclass(frozen=True)
class Head:
    """A head that backbones are compared under.

    Args:
        data: word for the published data set in the names of its configs.
        inputs: from channels to the entries of ``model`` that depend on them.
    """

    data: str
    inputs: Callable[[Channels], dict[str, Any]]


HEADS = {
    'upernet': Head(
        'ade20k',
        lambda channels: dict(
            decode_head=dict(in_channels=list(channels)), auxiliary_head=dict(in_channels=channels[2])
        ),
    ),
    'mask_rcnn': Head('coco', lambda channels: dict(neck=dict(in_channels=list(channels)))),
}


def default_config(head: str, own_data: bool) -> str:
    """The recipe for a head: Swin-T's for own data where there is a GPU, else that of the embedded shapes."""
    if own_data and torch.cuda.is_available():
        return f'mmseq::{head}_swin_t_{HEADS[head].data}'
    return f'mmseq::{head}_shiftvit_nano_shapes'


def check_recipe(config: str, head: str) -> None:
    """Refuse a config whose model has not the entries that the channels go into.

    Raises:
        InputError: it has not, or there is no such config.
    """
    model = read_config(config, {}).get('model') or {}
    lacking = [key for key in HEADS[head].inputs([1, 1, 1, 1]) if not model.get(key)]
    if lacking:
        raise InputError(f'--config {config}: its model has no {", ".join(lacking)}, which --head {head} has')


def write_config(candidate: Candidate, head: str, config: str, folder: Path) -> Path:
    """Write the config of a candidate; gives its path.

    Raises:
        InputError: there is one of another comparison.
    """
    base = config if config.startswith(shipped_configs.PREFIX) else str(Path(config_file(config)).resolve())
    base = base if base.endswith('.py') else f'{base}.py'
    backbone = dict(_delete_=True, **candidate.backbone)
    model = dict(backbone=backbone, **HEADS[head].inputs(candidate.channels))
    text = (
        f'"""{head} over {candidate.name}, as mmseq compare-backbones trains it."""\n\n'
        f'_base_ = {base!r}\nmodel = {pformat(model, sort_dicts=False, width=110)}\n'
    )
    path = folder / f'{head}_{candidate.label}.py'
    if path.is_file() and path.read_text(encoding='utf-8') != text:
        raise InputError(f'{path}: is of another comparison; repeat that one, or give another --work-dir')
    return write_text(path, text)

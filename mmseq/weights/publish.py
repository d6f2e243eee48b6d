"""The weights of a training checkpoint, under a name with their digest."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from mmseq.addresses import public
from mmseq.checkpoints.compare import is_finite, shorten
from mmseq.checkpoints.digest import file_sha256
from mmseq.checkpoints.fetch import SUFFIXES, locate
from mmseq.checkpoints.storage import load_file, load_meta
from mmseq.checkpoints.wrappers import state_dict
from mmseq.errors import InputError
from mmseq.files import draft_beside, put_in_place
from mmseq.weights.shared_config import shared_config
from mmseq.weights.weights_file import origin, save_weights


def publish(name: str | os.PathLike[str], target: str | os.PathLike[str], ema: bool = False) -> tuple[Path, list[str]]:
    """Write ``target-xxxxxxxx.safetensors``, with the first eight digits of its sha256 in its name.

    Args:
        name: a file or address; a whole model's checkpoint stays whole.
        target: path of the output without digest and suffix.
        ema: take the moving average of the weights.

    Returns:
        The file, and remarks on what was left out.

    Raises:
        InputError: no weights in the source, or tensors that are not finite.
    """
    target = Path(target)
    if target.suffix in SUFFIXES:
        target = target.with_suffix('')
    path = locate(name)
    payload = load_file(path)
    tensors, note = state_dict(payload, path, ema)
    broken = [key for key, tensor in tensors.items() if not is_finite(tensor)]
    if broken:
        raise InputError(f'checkpoint {public(name)}: {len(broken)} tensors not finite: {shorten(broken)}')
    facts = origin(source=path.name, source_sha256=file_sha256(path), **_said(path))
    with draft_beside(target, '.safetensors') as draft:
        digest = save_weights(tensors, draft, facts)
        final = target.with_name(f'{target.name}-{digest[:8]}.safetensors')
        put_in_place(draft, final)
    remarks = [f'{len(tensors)} tensors' + (f' ({note})' if note else '')]
    rest = [str(key) for key, value in payload.items() if not isinstance(value, Tensor)]
    return final, remarks + ([f'of {shorten(rest)} only the weights were taken'] if rest else [])


def _said(path: Path) -> dict[str, str]:
    """What the source says of itself that stays true of its weights."""
    said = load_meta(path)
    kept = {key: said[key] for key in ('family', 'arch', 'layout') if isinstance(said.get(key), str)}
    counts = {key: str(said[key]) for key in ('epoch', 'iter') if isinstance(said.get(key), int)}
    classes = said.get('dataset_meta')
    if isinstance(classes, Mapping):
        kept['dataset_meta'] = json.dumps(classes, default=list)
    if isinstance(said.get('cfg'), str):
        kept['cfg'] = shared_config(said['cfg'], public(path))
    return {**kept, **counts}

"""A bad iteration in a file: its batch, weights and random states, as tensors and plain data that load safely."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.runner import Runner, save_checkpoint
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from mmseq.engine.diagnosis import Call


def save_snapshot(runner: Runner, model: nn.Module, call: Call, cause: str, outputs: dict[str, Any]) -> Path:
    """Write ``bad_numbers/iter_<iteration>_rank<rank>.pth`` in the work dir, whole or not at all.

    It holds `cause`, `iteration`, `losses`, `batch` (the arguments of the model's forward pass, data samples as dicts
    of `type`, `metainfo` and fields), `state_dict` and `random` (python's, numpy's, torch's state before the forward
    pass). `torch.load(path, weights_only=True)` opens it, without mmdet or mmseg.
    """
    python, numpy, cpu, gpu = call.streams
    path = Path(runner.work_dir) / 'bad_numbers' / f'iter_{runner.iter + 1}_rank{get_rank()}.pth'
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        'cause': cause,
        'iteration': runner.iter + 1,
        'losses': {key: float(plain(value)) for key, value in outputs.items()},
        'batch': plain([*call.args, call.kwargs]),
        'state_dict': {key: value.detach().cpu() for key, value in model.state_dict().items()},
        'random': {'python': plain(python), 'numpy': plain(numpy), 'torch': cpu, 'cuda': gpu},
    }
    save_checkpoint(content, str(path))
    return path


def plain(value: Any) -> Any:
    """Nested data as tensors on the CPU and Python's own types; everything else becomes its text."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Tensor):
        return value.detach().cpu()
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.copy()) if value.dtype.kind in 'biuf' else value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, BaseDataElement):
        fields = {key: plain(item) for key, item in value.items()}
        return {'type': type(value).__name__, 'metainfo': plain(value.metainfo), **fields}
    # mmdet's boxes have a tensor, its masks an array or lists of polygons.
    for name in ('tensor', 'masks'):
        if hasattr(value, name):
            return plain(getattr(value, name))
    return str(value)

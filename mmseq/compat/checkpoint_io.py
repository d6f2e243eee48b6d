"""Training checkpoints of mmengine that are loaded without running code from them, and saved so that anyone can.

Cause: torch >= 2.6 refuses the `HistoryBuffer` objects in the files of mmengine 0.10, so `resume` fails; the loader of
`http://` weights goes through a function of torch that still runs whatever a file asks for; and a checkpoint is
written in place, so that an interrupted write destroys it.
Nothing here but `install` runs before mmengine is imported, so all imports beyond the standard library are local.
Could go once mmengine writes plain data, atomically, and loads everything with `weights_only=True`.
"""

import functools
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from mmseq.compat.import_hooks import when_imported

_CHECKPOINT_MODULE = 'mmengine.runner.checkpoint'


def install() -> None:
    """Replace mmengine's checkpoint functions as soon as mmengine loads them. Calling it again does nothing."""
    when_imported(_CHECKPOINT_MODULE, _mend)


def _mend(module: ModuleType) -> None:
    module.CheckpointLoader.register_scheme(prefixes='', loader=load_from_local, force=True)
    module.CheckpointLoader.register_scheme(
        prefixes=('hf://', 'timm://', 'mmseq://'), loader=load_from_name, force=True
    )
    _replace_everywhere(module, 'load_url', _load_from_url)
    _replace_everywhere(module, 'save_checkpoint', _saver(module.save_checkpoint))
    if hasattr(module, '_safe_torch_load'):
        # Of onedl-mmengine: what safe loading refuses it loads in spite of that, and runs.
        _replace_everywhere(module, '_safe_torch_load', _load_safely)


def _replace_everywhere(module: ModuleType, name: str, new: Callable[..., Any]) -> None:
    """Put `new` in the place of `module.name`, also in modules of mmengine that imported the name before."""
    old = getattr(module, name)
    for other_name, other in list(sys.modules.items()):
        if other_name.split('.')[0] == 'mmengine' and isinstance(other, ModuleType) and vars(other).get(name) is old:
            setattr(other, name, new)


# mmengine logs the name of the loader that it takes without its first ten letters.
def load_from_local(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Load a local checkpoint with histories and numpy data as mmengine's `Runner.resume` wants them.

    Raises:
        InputError: see `mmseq.checkpoints.storage.load_file`.
    """
    from mmseq.checkpoints.storage import load_meta, load_records
    from mmseq.compat.checkpoint_codec import decode

    if str(filename).endswith('.safetensors'):
        return dict(state_dict=load_records(filename, map_location=map_location), meta=load_meta(filename))
    checkpoint = decode(load_records(filename, map_location=map_location))
    if isinstance(checkpoint.get('meta'), dict):
        # Text of mmcv's time, which `Runner.resume` would run as Python to read one number in it.
        checkpoint['meta'].pop('config', None)
    return checkpoint


def load_from_name(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Load a file of the Hugging Face hub, or one that ships; see `mmseq.checkpoints.fetch.locate`."""
    return _load_from_url(filename, map_location=map_location)


def _load_from_url(
    url: str,
    model_dir: str | None = None,
    map_location: Any = None,
    progress: bool = True,
    check_hash: bool = False,
    file_name: str | None = None,
) -> dict[str, Any]:
    """Download as every command does: over https alone, with a digest on record, to a place of the address's own.

    Args:
        url: of a checkpoint; the rest of the arguments are torch hub's, whose place and progress are not asked.

    Raises:
        InputError: the file cannot be had, or is not the expected one.
    """
    from mmseq.checkpoints.fetch import locate

    return load_from_local(str(locate(url)), map_location)


def _load_safely(file: Any, map_location: Any = None, weights_only: bool | None = None) -> Any:
    """Load a file of mmengine's remote backends, whatever is asked for."""
    import torch

    return torch.load(file, map_location=map_location, weights_only=True)


def _saver(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def save_checkpoint(
        checkpoint: Mapping[str, Any],
        filename: str,
        file_client_args: dict[str, Any] | None = None,
        backend_args: dict[str, Any] | None = None,
    ) -> None:
        from mmseq.checkpoints.records import to_plain
        from mmseq.checkpoints.storage import save_file
        from mmseq.compat.checkpoint_codec import encode

        encoded = encode(checkpoint)
        backend = (backend_args or {}).get('backend', 'local')
        if '://' in str(filename) or file_client_args is not None or backend != 'local':
            # Elsewhere than on a local disk mmengine's backends know what a whole write is.
            original(to_plain(encoded), filename, file_client_args, backend_args)
        else:
            save_file(encoded, filename)

    return save_checkpoint

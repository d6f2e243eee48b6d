"""TensorBoard and Weights & Biases, switched on by name.

mmengine's backends with what they lack: everything stands over the training iteration, where mmengine puts the metrics
of a training by epochs over epochs and mixes the times of validations with those of training.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.logging import MessageHub, print_log
from mmengine.visualization import TensorboardVisBackend, WandbVisBackend
from mmengine.visualization.vis_backend import force_init_env

from mmseq.addresses import public_values
from mmseq.errors import InputError
from mmseq.registry import VISBACKENDS

LOGGERS = {'tensorboard': 'mmseq.TensorboardBackend', 'wandb': 'mmseq.WandbBackend'}
_TIMES = ('time', 'data_time')


def place(scalars: Mapping[str, Any], step: int) -> tuple[dict[str, Any], int]:
    """Give what a validation found names that training has not, and say at which iteration it stands.

    Args:
        scalars: of one call of a backend; those of training have ``iter`` among them.
        step: what mmengine says, an iteration or an epoch.
    """
    if 'iter' in scalars:
        return dict(scalars), int(scalars['iter'])
    return {f'val/{name}' if name in _TIMES else name: value for name, value in scalars.items()}, iteration(step)


def iteration(step: int) -> int:
    """Iterations trained so far; ``step`` where nothing is trained."""
    current = MessageHub.get_current_instance().get_info('iter')
    return step if current is None else int(current) + 1


@VISBACKENDS.register_module()
class TensorboardBackend(TensorboardVisBackend):
    """Event files in ``<work dir>/<run>/vis_data``, for ``tensorboard --logdir <work dir>``."""

    @force_init_env
    def add_scalars(self, scalar_dict: dict[str, Any], step: int = 0, file_path: str | None = None) -> None:
        """Record scalars at the iteration that they belong to."""
        scalars, at = place(scalar_dict, step)
        super().add_scalars(scalars, at)


@VISBACKENDS.register_module()
class WandbBackend(WandbVisBackend):
    """A run of Weights & Biases, named like the work dir; what goes on with it after a resume is of the same group.

    Without a login, or where the server cannot be reached, the run is written to ``<work dir>/<run>/vis_data/wandb``
    for ``wandb sync``; ``WANDB_MODE`` and wandb's other variables hold. The code is not uploaded, which mmengine's
    backend does with everything below the current folder.
    """

    def _init_env(self) -> None:
        import wandb

        folder = Path(self._save_dir)
        folder.mkdir(parents=True, exist_ok=True)
        # <work dir>/<run>/vis_data
        name = folder.resolve().parents[1].name
        project = os.environ.get('WANDB_PROJECT', 'mmseq')
        arguments = dict(dir=str(folder), project=project, name=name, group=name) | (self._init_kwargs or {})
        asked = os.environ.get('WANDB_MODE')
        try:
            reason = '' if asked or wandb.login(prompt=False) else 'there is no login'
            if not reason:
                wandb.init(**arguments)
        except wandb.errors.Error as error:
            reason = str(error).splitlines()[0]
            if asked:
                raise InputError(f'--log-to wandb: {reason}; WANDB_MODE is {asked}') from error
        if reason:
            start_offline(arguments, folder, reason)
        wandb.define_metric('*', step_metric='iter')
        self._wandb = wandb

    @force_init_env
    def add_config(self, config: Config) -> None:
        """Record the config."""
        self._wandb.config.update(public_values(config.to_dict()), allow_val_change=True)

    @force_init_env
    def add_image(self, name: str, image: np.ndarray, step: int = 0) -> None:
        """Record a picture of (H, W, 3) bytes, red first."""
        self._wandb.log({name: self._wandb.Image(image), 'iter': iteration(step)})

    @force_init_env
    def add_scalar(self, name: str, value: Any, step: int = 0) -> None:
        """Record a scalar."""
        self.add_scalars({name: value}, step)

    @force_init_env
    def add_scalars(self, scalar_dict: dict[str, Any], step: int = 0, file_path: str | None = None) -> None:
        """Record scalars at the iteration that they belong to."""
        scalars, at = place(scalar_dict, step)
        self._wandb.log(scalars | {'iter': at})

    def close(self) -> None:
        """End the run, so that all of it is written."""
        if hasattr(self, '_wandb'):
            self._wandb.finish()


def start_offline(arguments: dict[str, Any], folder: Path, reason: str) -> None:
    """Begin a run of Weights & Biases that is written to files only, and say why and what to do with them."""
    import wandb

    wandb.init(**arguments, mode='offline')
    where = folder / 'wandb' / 'offline-run-*'
    print_log(f'wandb: {reason}; the run is written to files, for `wandb sync {where}` after `wandb login`', 'current')

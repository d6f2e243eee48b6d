"""The weights that a training ends with, as a file that depends on nothing else."""

import hashlib
from pathlib import Path

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmseq.checkpoints.storage import save_file
from mmseq.engine.bare_model import bare_model
from mmseq.registry import HOOKS


@HOOKS.register_module()
class FinalWeightsHook(Hook):
    """Write ``final_weights.safetensors`` into the work dir and log its SHA-256.

    A training checkpoint also holds times and names, so two equal runs never write equal ones; these files are equal
    byte by byte if the weights are.
    """

    priority = 'LOWEST'

    @master_only
    def after_train(self, runner: Runner) -> None:
        """Write the file."""
        model = bare_model(runner.model)
        path = Path(runner.work_dir) / 'final_weights.safetensors'
        save_file({key: value.cpu() for key, value in model.state_dict().items()}, path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        runner.logger.info(f'{path.name}: sha256 {digest}')

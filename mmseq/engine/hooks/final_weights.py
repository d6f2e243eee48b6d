"""The final weights in a file that equal runs write equally."""

import hashlib
from pathlib import Path

from mmengine.dist import is_main_process
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

    def after_train(self, runner: Runner) -> None:
        """Write the file."""
        # In every process: weights that are divided among them are gathered by all of them.
        state = bare_model(runner.model).state_dict()
        if not is_main_process():
            return
        path = Path(runner.work_dir) / 'final_weights.safetensors'
        save_file({key: value.cpu() for key, value in state.items()}, path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        runner.logger.info(f'{path.name}: sha256 {digest}')

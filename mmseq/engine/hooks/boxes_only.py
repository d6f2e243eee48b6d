"""Detection without masks, for test-time augmentation."""

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmseq.registry import HOOKS


@HOOKS.register_module()
class BoxesOnlyHook(Hook):
    """Take the mask heads off a detector once its whole checkpoint is loaded.

    mmdet's test-time augmentation merges boxes and refuses predictions with masks.
    """

    def before_test(self, runner: Runner) -> None:
        """Remove every ``mask_head``."""
        for module in runner.model.modules():
            if getattr(module, 'mask_head', None) is not None:
                module.mask_head = None

"""A sampler of boxes that leaves nothing to chance."""

from mmdet.models.task_modules.samplers import RandomSampler
from mmdet.registry import TASK_UTILS
from torch import Tensor


@TASK_UTILS.register_module()
class FirstSampler(RandomSampler):
    """Takes the first boxes."""

    def random_choice(self, gallery: Tensor, num: int) -> Tensor:
        """The first `num`."""
        return gallery[:num]

"""The evaluation is tried before a run."""

from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel
from mmengine.runner import BaseLoop, Runner

from mmseq.engine.bare_model import bare_model
from mmseq.engine.config_classes import bases
from mmseq.engine.diagnosis import Call
from mmseq.engine.trial import is_coco, try_batch, try_boxes, try_images
from mmseq.registry import HOOKS


@HOOKS.register_module()
class TrialHook(Hook):
    """Tries the evaluation of a run before it: what fails there would fail hours later, or be 0 without a word.

    The file of a COCO metric and the data are of the same images, of which those that the data have are evaluated; the
    truth of some images, given as prediction, scores 1; a batch of a segmentor's data can be loaded, and its labels are
    of the size of the image. Random streams, weights and loaders stay as they are.
    """

    priority = 'VERY_HIGH'

    def before_run(self, runner: Runner) -> None:
        """Raises InputError for an evaluation that cannot be right."""
        for name in ('val', 'test'):
            loop = getattr(runner, f'_{name}_loop')
            if isinstance(loop, BaseLoop):
                with Call.now((), {}).randomness():
                    self._try(runner, loop, name)

    def _try(self, runner: Runner, loop: BaseLoop, name: str) -> None:
        for metric in loop.evaluator.metrics:
            if getattr(metric, 'format_only', False):
                continue
            said = [try_images(metric, loop.dataloader, name)]
            if is_coco(metric):
                said.append(try_boxes(metric, loop.dataloader, name))
            elif 'IoUMetric' in bases(type(metric)) and not isinstance(runner.model, BaseTTAModel):
                try_batch(metric, loop.dataloader, bare_model(runner.model), name)
            for text in filter(None, said):
                runner.logger.warning(text)

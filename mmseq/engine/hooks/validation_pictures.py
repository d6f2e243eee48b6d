"""A few validation images drawn at each evaluation, for TensorBoard, Weights & Biases and the eye."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dist import all_gather_object, get_rank, get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmseq.engine.bare_model import bare_model
from mmseq.engine.loggers import iteration
from mmseq.registry import HOOKS


@HOOKS.register_module()
class ValidationPicturesHook(Hook):
    """Draw truth beside prediction for every backend of the visualiser.

    The images are spread evenly over the data set and the same at every evaluation, with any number of processes: each
    process draws those that it has, and the first one hands them on. mmengine's local backend, which every config has,
    writes ``vis_data/vis_image/val_<place>_<name>_<iteration>.png``. The validation data must come in their own order,
    as they do in all configs.

    Args:
        images: how many.
        score_thr: instances below this score are not drawn.
    """

    def __init__(self, images: int, score_thr: float = 0.3) -> None:
        self.images = images
        self.score_thr = score_thr
        self._seen = 0
        self._drawn: dict[int, tuple[str, np.ndarray]] = {}

    def before_val_epoch(self, runner: Runner) -> None:
        """Begin with the first image."""
        self._seen = 0
        self._drawn = {}

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict[str, Any] | None = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """Draw those of a batch that are wanted."""
        total = len(runner.val_dataloader.dataset)
        count = min(self.images, total)
        wanted = {i * total // count for i in range(count)}
        for sample in outputs or ():
            # a sampler deals the images out in turn
            place = self._seen * get_world_size() + get_rank()
            self._seen += 1
            # behind the last image the first ones are repeated, so that all processes have as many
            if place in wanted:
                self._drawn[place] = (Path(sample.img_path).stem, self._draw(runner, sample))

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Hand the pictures of all processes to the backends."""
        drawn = {place: found for part in all_gather_object(self._drawn) for place, found in part.items()}
        self._drawn = {}
        if is_main_process():
            for place, (name, picture) in sorted(drawn.items()):
                runner.visualizer.add_image(f'val_{place}_{name}', picture, step=iteration(0))

    def _draw(self, runner: Runner, sample: Any) -> np.ndarray:
        # loaded only in runs that draw
        from mmseq.pictures.displayable import read_displayable
        from mmseq.pictures.palette import palette
        from mmseq.pictures.truth_and_prediction import draw_truth_and_prediction

        meta = runner.val_dataloader.dataset.metainfo
        classes = tuple(meta['classes'])
        colours = palette(classes, meta.get('palette'))
        model = bare_model(runner.model)
        picture = read_displayable(Path(sample.img_path))
        return draw_truth_and_prediction(picture, sample, model, classes, colours, self.score_thr)

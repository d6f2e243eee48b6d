"""Pictures of truth and prediction, one per test image."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmseq.files import OwnNames, whole_file
from mmseq.pictures.displayable import read_displayable
from mmseq.registry import HOOKS


@HOOKS.register_module()
class PicturesHook(Hook):
    """Let upstream's visualiser draw every test image into a folder, under the image's own name and subfolders.

    Upstream's two visualisation hooks write to different places under different names. Its visualisers draw in the
    first process only, so this is for tests on one process.

    Args:
        out_dir: the folder.
        image_root: folder of the images.
        score_thr: instances below this score are not drawn.
    """

    def __init__(self, out_dir: str, image_root: str = '', score_thr: float = 0.3) -> None:
        self.out_dir = Path(out_dir)
        self._names = OwnNames(image_root)
        self.score_thr = score_thr

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict[str, Any] | None = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """Draw the predictions of one batch."""
        for sample in outputs or ():
            path = Path(sample.img_path)
            image = read_displayable(path)
            options = {'pred_score_thr': self.score_thr} if 'pred_instances' in sample else {}
            name = self._names.of(path)
            with whole_file(self.out_dir / f'{name}.png', '.png') as draft:
                runner.visualizer.add_datasample(name, image, data_sample=sample, out_file=str(draft), **options)

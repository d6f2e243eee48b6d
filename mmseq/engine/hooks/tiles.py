"""Evaluation tile by tile."""

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmseq.large.lean import lean
from mmseq.large.tiles import Tiles, tiled
from mmseq.registry import HOOKS


@HOOKS.register_module()
class TilesHook(Hook):
    """Let the model of a test predict tile by tile; masks are then run lengths, as COCO's metric takes them.

    Args:
        size: side of a tile in pixels.
        overlap: share of a tile that the next one shows again.
        batch: tiles at a time.
    """

    def __init__(self, size: int, overlap: float, batch: int) -> None:
        self.tiles = Tiles(size, overlap, batch)

    def before_test(self, runner: Runner) -> None:
        """Put the view of the model in its place, in what distributes it too."""
        wrapped = is_model_wrapper(runner.model)
        model = runner.model.module if wrapped else runner.model
        # What tells the most that a tile may hold.
        model.cfg = runner.cfg
        view = tiled(lean(model), self.tiles)
        if wrapped:
            runner.model.module = view
        else:
            runner.model = view

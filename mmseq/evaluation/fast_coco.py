"""pycocotools' evaluation at a fraction of its time, with the same bits: its arrays come from ultrafast-pycocotools.

That package (BSD, Rust) keeps the order of every sum and sort of pycocotools; tests compare both on truth and
detections of all kinds. It is optional: without it, or for ids that it cannot take, pycocotools evaluates.
"""

import functools
import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
from mmengine.logging import print_log
from pycocotools.cocoeval import COCOeval

PACKAGE = 'ultrafast_pycocotools'
# Its ids are 64-bit integers.
IDS = range(-(2**63), 2**63)
NUMBERS = (int, float)


class FastCOCOeval(COCOeval):
    """A ``COCOeval`` whose ``evaluate`` and ``accumulate`` are ultrafast-pycocotools'; ``evalImgs`` stays empty.

    ``_gts`` and ``_dts`` stay empty, too.
    """

    _engine: Any

    def evaluate(self) -> None:
        """Match detections with truth."""
        from ultrafast_pycocotools import COCO
        from ultrafast_pycocotools import COCOeval as Engine

        params = self.params
        params.imgIds = list(np.unique(params.imgIds))
        if params.useCats:
            params.catIds = list(np.unique(params.catIds))
        params.maxDets = sorted(params.maxDets)
        truth, found = (COCO(side.dataset, verbose=False) for side in (self.cocoGt, self.cocoDt))
        self._engine = Engine(truth, found, params.iouType, print_function=_silent)
        for name in ('imgIds', 'catIds', 'iouThrs', 'recThrs', 'maxDets', 'areaRng', 'areaRngLbl', 'useCats'):
            setattr(self._engine.params, name, getattr(params, name))
        self._engine.evaluate()

    def accumulate(self, p: Any = None) -> None:
        """Publish precision, recall and scores as pycocotools does."""
        self._engine.accumulate()
        if not self.params.useCats:
            self.params.catIds = [-1]
        self.eval = self._engine.eval | {'params': self.params}

    def matches(self, iou: float) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """What was matched at a threshold, for all areas, at the highest limit of detections.

        Returns:
            Columns of the detections (``image_id, category_id, dt_id, score, gt_id, ignore``; ``gt_id`` is -1 where
            nothing was matched) and of the true objects (``image_id, category_id, gt_id, ignore``).
        """
        found: tuple[dict[str, np.ndarray], dict[str, np.ndarray]] = self._engine.per_instance(iou)
        return found

    def overlap(self) -> Callable[..., Any]:
        """pycocotools' ``mask.iou`` with the same bits, of boxes or run lengths."""
        from ultrafast_pycocotools import mask

        found: Callable[..., Any] = mask.iou
        return found


def quicken(evaluator: COCOeval) -> None:
    """Make a new ``COCOeval`` a fast one, where that is possible; the log has once which it is."""
    if importlib.util.find_spec(PACKAGE) is None:
        _say_once("pycocotools evaluates; pip install 'mmseq[fast]' gives the same figures in a fraction of its time")
    elif not is_plain(evaluator):
        _say_once('pycocotools evaluates, since the truth has ids, crowds, areas or masks that it alone reads')
    else:
        _say_once('ultrafast-pycocotools evaluates, with the figures of pycocotools')
        evaluator.__class__ = FastCOCOeval


def is_plain(evaluator: COCOeval) -> bool:
    """Whether both evaluations read the truth alike; elsewhere one of them ends where the other goes on."""
    annotations = evaluator.cocoGt.dataset.get('annotations', [])
    masks = evaluator.params.iouType == 'segm'
    ids = chain(evaluator.params.imgIds, evaluator.params.catIds)
    ids = chain(ids, (annotation[key] for annotation in annotations for key in ('image_id', 'category_id')))
    return all(type(i) is int and i in IDS for i in ids) and all(
        type(annotation.get('area')) in NUMBERS
        and type(annotation.get('iscrowd')) in (bool, *NUMBERS)
        and (not masks or annotation.get('segmentation'))
        for annotation in annotations
    )


@contextmanager
def built(namespace: dict[str, Any], names: tuple[str, ...], created: Callable[[Any], None]) -> Iterator[None]:
    """Report every object that the named classes of a module build, for the length of the block.

    Args:
        namespace: of the module.
        names: of the classes.
        created: gets each new object.
    """
    originals = {name: namespace[name] for name in names if name in namespace}

    def build(cls: type, *args: Any, **kwargs: Any) -> Any:
        # not a subclass: COCOevalMP pickles itself to its workers, which only an importable class survives
        instance = cls(*args, **kwargs)
        created(instance)
        return instance

    namespace.update({name: partial(build, cls) for name, cls in originals.items()})
    try:
        yield
    finally:
        namespace.update(originals)


@functools.cache
def _say_once(text: str) -> None:
    print_log(text, 'current')


def _silent(text: str) -> None:
    """Upstream prints the figures, by pycocotools' own ``summarize``."""

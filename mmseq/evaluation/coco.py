"""mmdet's AP for truth that pycocotools and mmdet misread."""

import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import numpy as np
from mmdet.datasets.api_wrappers import COCO
from mmdet.evaluation import CocoMetric
from mmengine.fileio.handlers.json_handler import set_default
from mmengine.logging import print_log

from mmseq.evaluation.fast_coco import built, quicken
from mmseq.files import whole_file

SWITCH = 'upstream=True of the metric gives its figures'


class Truth(COCO):
    """A COCO data set as pycocotools can evaluate it.

    Args:
        dataset: the content of an annotation file, which is changed: pycocotools stores the annotation that a
            detection was matched to by its id, as a float, and takes 0 for none; ids are counted from 1 anew. An
            ``iscrowd`` that is absent or null becomes 0, as the data set reads it.
    """

    def __init__(self, dataset: dict[str, Any]) -> None:
        super().__init__()
        annotations = dataset.get('annotations', [])
        if lost := lost_ids([annotation['id'] for annotation in annotations]):
            print_log(f'annotations are numbered anew, since pycocotools loses {lost} of them ({SWITCH})', 'current')
        for number, annotation in enumerate(annotations, 1):
            annotation.update(id=number, iscrowd=annotation.get('iscrowd') or 0)
        self.dataset = dataset
        self.createIndex()

    def loadRes(self, resFile: list[dict[str, Any]]) -> COCO:
        """Results over this truth; there may be none, which pycocotools does not take."""
        if resFile:
            return super().loadRes(resFile)
        print_log(f'nothing was detected: AP and AR are 0, while mmdet leaves them out ({SWITCH})', 'current')
        found = COCO()
        found.dataset = {**self.dataset, 'annotations': []}
        found.createIndex()
        return found


def lost_ids(ids: Sequence[Any]) -> int:
    """How many annotations pycocotools never finds: those with id 0, and all but one of those that share an id."""
    return len(ids) - len(set(ids) - {0})


def write_at_once(results: Any, file: str) -> None:
    """mmengine's ``dump`` to a JSON file; by ``json.dumps``, which is compiled, and in four times less time."""
    with whole_file(file) as draft, draft.open('w', encoding='utf-8') as stream:
        stream.write(json.dumps(results, default=set_default))


class SoundCocoMetric(CocoMetric):
    """mmdet's ``CocoMetric`` with every annotation found, figures under the names they belong to, 0 for nothing.

    - An annotation with id 0, or with the id of another, counts like any other (:class:`Truth`).
    - ``classwise=True`` names each class's AP after it, whatever the order of the ids in the annotation file.
    - Where nothing was detected, AP and AR are 0 instead of absent, so that no worse checkpoint stays the best.
    """

    # mmdet's own, which have no types.
    _coco_api: COCO | None
    cat_ids: Any

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """The metrics of (truth, prediction) pairs of all images."""
        if self._coco_api is None:
            self._coco_api = self._converted([truth for truth, _ in results])
        if not isinstance(self._coco_api, Truth):
            self._coco_api = Truth(self._coco_api.dataset)
        # in the file's order, which labels follow; upstream fills them in where they are None
        self.cat_ids = None
        namespace = CocoMetric.compute_metrics.__globals__
        with built(namespace, ('COCOeval',), quicken), patch.dict(namespace, dump=write_at_once):
            return super().compute_metrics(results)

    def results2json(self, results: Sequence[dict[str, Any]], outfile_prefix: str) -> dict[str, str]:
        """Write the predictions; returns the files by kind."""
        files = super().results2json(results, outfile_prefix)
        # From here on upstream takes the places in them for those in pycocotools' figures, which are sorted.
        ascending = np.unique(self.cat_ids).tolist()
        if self.classwise and ascending != list(self.cat_ids):
            print_log(f'category ids are not in the order of the file; mmdet exchanges their AP ({SWITCH})', 'current')
        self.cat_ids = ascending
        return files

    def _converted(self, truth: list[dict[str, Any]]) -> COCO:
        """Truth that came with the images instead of in a file."""
        with TemporaryDirectory() as folder:
            prefix = self.outfile_prefix or str(Path(folder) / 'truth')
            return COCO(self.gt_to_coco_json(truth, prefix))

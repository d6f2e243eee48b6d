"""Evaluation tried before a run: the metric's file is of the data's images, and truth given as prediction scores 1.

An evaluation comes after hours of training, and reads files and forms that training does not.
"""

import copy
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from os.path import basename
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from pycocotools import mask as rle

from mmseq.engine.config_classes import bases
from mmseq.errors import InputError, first_line
from mmseq.explain import memory
from mmseq.explain.work import NO_CONFIG

# Images whose truth is evaluated, objects in each at most, and their shortest side in pixels: masks of smaller ones may
# be empty, and those of many go beyond the metric's limits.
IMAGES, OBJECTS, SIDE = 4, 50, 4.0
# A figure of truth below this one, in parts of 1, is no rounding.
WHOLE = 0.99


def try_images(metric: BaseMetric, loader: Any, name: str) -> str | None:
    """Compare the images of a COCO metric's file with those of the data, and evaluate those that are there.

    Args:
        metric: of mmdet's ``CocoMetric``, with an annotation file; others are let pass.
        loader: of the data.
        name: what the keys of both begin with, ``val`` or ``test``.

    Returns:
        That only some of the file's images are evaluated, if so.

    Raises:
        InputError: the file lacks an image, or has another one under its id.
    """
    truth = getattr(metric, '_coco_api', None)
    if truth is None or not hasattr(truth, 'imgs'):
        return None
    where = f'{name}_dataloader and {name}_evaluator.ann_file'
    infos = list(images_of(loader.dataset))
    unknown = [info for info in infos if info['img_id'] not in truth.imgs]
    if unknown:
        raise InputError(
            f'{where} are of different images: {len(unknown)} of {len(infos)} are not in the file of the metric, first '
            f'{unknown[0]["img_path"]} with id {unknown[0]["img_id"]!r}; give both the same file'
        )
    for info in infos:
        other = truth.imgs[info['img_id']].get('file_name')
        if isinstance(other, str) and basename(other) != basename(info['img_path']):
            raise InputError(
                f'{where} are of different images: id {info["img_id"]!r} is {basename(info["img_path"])} in the data '
                f'and {basename(other)} in the file of the metric; give both the same file'
            )
    ids = list(dict.fromkeys(info['img_id'] for info in infos))
    if len(ids) == len(truth.imgs) or not infos:
        return None
    metric.img_ids = ids
    return f'{name}_dataloader has {len(ids)} of the {len(truth.imgs)} images of the metric; figures are of these'


def images_of(dataset: Any) -> Iterator[dict[str, Any]]:
    """What a data set knows of its images that have an id."""
    for index in range(len(dataset)) if hasattr(dataset, 'get_data_info') else ():
        info = dataset.get_data_info(index)
        if 'img_id' in info and isinstance(info.get('img_path'), str):
            yield info


def try_boxes(metric: BaseMetric, loader: Any, name: str) -> str | None:
    """Evaluate the truth of some images as if it were predicted by a detector; AP has to be 1.

    Returns:
        That it is not where the file of the metric has other objects than the data, so that it may be meant.

    Raises:
        InputError: it is not, or the evaluation fails.
    """
    infos = [info for info in images_of(loader.dataset) if clear(info)]
    infos = infos[:: max(len(infos) // IMAGES, 1)][:IMAGES]
    # Data of panoptic segments have their masks in label maps.
    masks = 'segm' in metric.metrics and all('mask' in one for info in infos for one in info['instances'])
    kinds = [kind for kind in metric.metrics if masks or kind != 'segm']
    if not infos or not {'bbox', 'segm'} & set(kinds):
        return None
    truth, ids = metric._coco_api, [info['img_id'] for info in infos]
    part = truth and part_of(truth, ids)
    tried = fresh(metric, metrics=kinds, img_ids=ids, cat_ids=None, outfile_prefix=None, _coco_api=part)
    figures = evaluated(tried, [predicted(info, masks) for info in infos], name)
    low = {key: value for key, value in figures.items() if key.endswith('_mAP') and value < WHOLE}
    if not low:
        return None
    said = (
        f'{name}_evaluator: the truth of {len(infos)} images, given as prediction, has '
        f'{", ".join(f"{key}={value:.3f}" for key, value in low.items())} where 1 is due'
    )
    expected = truth and sum(len(truth.imgToAnns.get(info['img_id'], ())) for info in infos)
    found = sum(len(info['instances']) for info in infos)
    if truth and expected != found:
        return f'{said}: the data have {found} objects in them and the file of the metric {expected}'
    raise InputError(
        f'{said}; the file of the metric has other objects, classes or ids than the data: give both the same'
    )


def part_of(truth: Any, ids: Sequence[Any]) -> Any:
    """Some images of a COCO file with their objects, which a metric may change."""
    part, kept = copy.copy(truth), set(ids)
    images = [row for row in truth.dataset['images'] if row['id'] in kept]
    rows = [row for row in truth.dataset.get('annotations', ()) if row['image_id'] in kept]
    part.dataset = copy.deepcopy({**truth.dataset, 'images': images, 'annotations': rows})
    with quiet():
        part.createIndex()
    return part


def clear(info: dict[str, Any]) -> bool:
    """Whether the truth of an image can be evaluated in full: some objects, not too many, none too small."""
    objects = info.get('instances') or []
    sides = [min(one['bbox'][2] - one['bbox'][0], one['bbox'][3] - one['bbox'][1]) for one in objects]
    return 0 < len(objects) <= OBJECTS and min(sides) >= SIDE and not all(one.get('ignore_flag') for one in objects)


def predicted(info: dict[str, Any], masks: bool) -> dict[str, Any]:
    """A sample of a detector that has found the truth of an image."""
    objects = [one for one in info['instances'] if not one.get('ignore_flag')]
    found: dict[str, Any] = dict(
        bboxes=torch.tensor([one['bbox'] for one in objects]).float().reshape(-1, 4),
        scores=torch.ones(len(objects)),
        labels=torch.tensor([one['bbox_label'] for one in objects]),
    )
    if masks:
        found['masks'] = [encoded(one.get('mask') or [], info['height'], info['width']) for one in objects]
    shape = (info['height'], info['width'])
    return dict(img_id=info['img_id'], ori_shape=shape, instances=info['instances'], pred_instances=found)


def encoded(mask: Any, height: int, width: int) -> dict[str, Any]:
    """A segmentation of an annotation file, polygons or RLE, as the RLE that a detector gives."""
    if isinstance(mask, list):
        return rle.merge(rle.frPyObjects(mask, height, width)) if mask else rle.encode(empty(height, width))
    return rle.frPyObjects(mask, height, width) if isinstance(mask['counts'], list) else dict(mask)


def empty(height: int, width: int) -> np.ndarray:
    """A mask of nothing."""
    return np.zeros((height, width), np.uint8, order='F')


def try_batch(metric: BaseMetric, loader: Any, model: Any, name: str) -> None:
    """Load the first batch of a segmentor's data and evaluate its labels as predictions; mIoU has to be 100.

    Raises:
        InputError: it is not, or the batch or its evaluation fails.
    """
    count = min(loader.batch_size or 1, len(loader.dataset))
    where = f'{name}_dataloader: its first batch of {count}'
    with telling(where):
        batch = loader.collate_fn([loader.dataset[index] for index in range(count)])
        samples = model.data_preprocessor(batch, False)['data_samples']
        for sample in samples:
            check_size(sample, where)
    tried = fresh(metric, output_dir=None)
    classes = len(metric.dataset_meta['classes'])
    figures = evaluated(tried, [labels_predicted(sample, classes) for sample in samples], name)
    if metric.nan_to_num is None and figures.get('mIoU', 100.0) < 100 * WHOLE:
        raise InputError(
            f'{name}_evaluator: the labels of {count} images, given as prediction, have mIoU={figures["mIoU"]:.2f}, '
            'not 100; the metric and the data disagree on classes or ignore_index'
        )


def check_size(sample: Any, where: str) -> None:
    """Raises InputError for labels of another size than the image, which predictions have."""
    labels, image = tuple(sample.gt_sem_seg.data.shape[-2:]), sample.get('ori_shape')
    if image is not None and labels != tuple(image[:2]):
        raise InputError(
            f'{where} has labels of {labels} (height, width) for an image of {tuple(image[:2])}; predictions are of '
            'the size of the image: put LoadAnnotations behind Resize in the pipeline'
        )


def labels_predicted(sample: Any, classes: int) -> dict[str, Any]:
    """A sample of a segmentor that has found its labels; where there is none, it has to say a class."""
    labels = sample.gt_sem_seg.data
    return dict(sample.to_dict(), pred_sem_seg=dict(data=labels.where(labels < classes, labels.new_zeros(()))))


def fresh(metric: BaseMetric, **changed: Any) -> BaseMetric:
    """A metric like another one, without its results."""
    tried = copy.copy(metric)
    vars(tried).update(results=[], **changed)
    return tried


def evaluated(metric: BaseMetric, samples: Sequence[dict[str, Any]], name: str) -> dict[str, float]:
    """The figures of a metric, without a word in the log.

    Raises:
        InputError: it fails.
    """
    logger = MMLogger.get_current_instance()
    disabled, logger.disabled = logger.disabled, True
    try:
        with telling(f'{name}_evaluator: the truth of {len(samples)} images, given as prediction,'), quiet():
            metric.process({}, samples)
            return metric.compute_metrics(metric.results)
    finally:
        logger.disabled = disabled


@contextmanager
def quiet() -> Iterator[None]:
    """What pycocotools prints goes nowhere."""
    with redirect_stdout(io.StringIO()):
        yield


@contextmanager
def telling(what: str) -> Iterator[None]:
    """Raises InputError in place of any error inside, since that would end the run later."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        if memory.explain(error, NO_CONFIG):
            # What a run says about memory names the keys to change.
            raise
        raise InputError(f'{what} fails: {type(error).__name__}: {first_line(error)}') from error


def is_coco(metric: BaseMetric) -> bool:
    """Whether a metric is mmdet's of boxes and masks; LVIS has an evaluation of its own."""
    return 'CocoMetric' in bases(type(metric)) and 'LVISMetric' not in bases(type(metric))

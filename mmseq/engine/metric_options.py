"""Options of COCO's metric that upstream takes, and that end a run at its first evaluation."""

from collections.abc import Iterator, Sequence
from typing import Any

from mmengine.config import Config
from mmengine.registry import METRICS, DefaultScope

from mmseq.engine.config_classes import as_list, bases, class_of
from mmseq.errors import InputError

# Its summary asks for three numbers of detections, and by number for ten thresholds.
SUMMARISED = ('bbox', 'segm', 'proposal')
NUMBERS = 3


def check_metric_options(cfg: Config, loaders: Sequence[str]) -> None:
    """The options of COCO's metric are such that its evaluation goes through.

    Args:
        cfg: the whole config.
        loaders: top-level keys of the data that the run reads.

    Raises:
        InputError: one is not, naming its key and what to do.
    """
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmengine')):
        for name in [loader.replace('_dataloader', '_evaluator') for loader in loaders]:
            for metric in as_list(cfg.get(name)):
                names = bases(class_of(METRICS, metric))
                for problem in problems(metric, cfg.model) if 'CocoMetric' in names else ():
                    raise InputError(f'config: {name}.{problem}')


def problems(metric: dict[str, Any], model: dict[str, Any]) -> Iterator[str]:
    """What is wrong with the options of a metric, each with what to do."""
    wanted = metric.get('metric', 'bbox')
    if isinstance(wanted, tuple):
        yield f'metric={wanted} is a tuple, which upstream takes for one name; write a list'
    if 'segm' in as_list(wanted) and 'roi_head' in model and not model['roi_head'].get('mask_head'):
        yield 'metric has segm, but model.roi_head has no mask_head; leave segm out, or use a model with masks'
    if 'proposal_fast' in as_list(wanted) and not metric.get('format_only'):
        yield (
            'metric has proposal_fast, which ends on images of different numbers of objects with numpy from 1.24 on; '
            'write proposal'
        )
    if metric.get('format_only') or not set(as_list(wanted)) & set(SUMMARISED):
        return
    if metric.get('iou_thrs') is not None:
        yield f'iou_thrs={metric["iou_thrs"]}: the summary needs all ten thresholds; leave iou_thrs out'
    numbers = metric.get('proposal_nums')
    # With several processes its own summary reads the last number alone.
    if numbers is not None and len(numbers) < NUMBERS and not metric.get('use_mp_eval'):
        yield f'proposal_nums={numbers}: the summary reads three numbers; give three, as (100, 300, 1000)'

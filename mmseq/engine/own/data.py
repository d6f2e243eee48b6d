"""Own data in the loaders, pipelines and metrics of a config."""

from collections.abc import Iterator
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.registry import METRICS, MODELS, TRANSFORMS, DefaultScope, Registry

from mmseq.config import LOADERS
from mmseq.datasets.nesting import innermost_configs
from mmseq.datasets.own.card import Card, Part
from mmseq.engine.config_classes import arguments, as_list, bases, class_of
from mmseq.engine.ignored_pixels import segmentation_heads
from mmseq.engine.own.task import is_kind, scoped
from mmseq.nested import walk
from mmseq.pictures.palette import palette

# Variables of upstream's files and ours that told of the data that were there; nothing reads them.
VARIABLES = (
    *('data_root', 'dataset_type', 'metainfo', 'classes', 'num_classes', 'boxes', 'backend_args'),
    *('dataset', 'train_dataset', 'val_dataset', 'test_dataset'),
    *('train_pipeline', 'test_pipeline', 'val_pipeline', 'crop_size', 'img_scale', 'image_size', 'img_ratios'),
    *('max_iters', 'max_epochs', 'epochs', 'interval', 'dynamic_intervals'),
)
METRICS_OF = dict(boxes='mmdet.CocoMetric', instances='mmdet.CocoMetric', semantic='mmseg.IoUMetric')


def put_data(cfg: Config, card: Card) -> None:
    """A card's images and labels in all loaders and metrics, and what its label maps mean in every step."""
    parts = dict(train=card.train, val=card.val, test=card.test or card.val)
    loader = cfg.get('test_dataloader') or dict(
        cfg.train_dataloader, sampler=dict(type='DefaultSampler', shuffle=False)
    )
    for name in ('val', 'test'):
        cfg[f'{name}_dataloader'] = cfg.get(f'{name}_dataloader') or loader
        cfg[f'{name}_cfg'] = cfg.get(f'{name}_cfg') or dict(type=f'{name.capitalize()}Loop')
        cfg[f'{name}_evaluator'] = metric(cfg, card, parts[name], name)
    for name, part in parts.items():
        # A copy, since two loaders may be the same dict.
        own = ConfigDict(cfg[f'{name}_dataloader'].to_dict())
        own.dataset = replaced(cfg, own.dataset, card, part, name == 'train')
        cfg[f'{name}_dataloader'] = own
    if card.task == 'semantic':
        for step in steps(cfg):
            if str(step['type']).rpartition('.')[2] == 'LoadAnnotations':
                step['reduce_zero_label'] = card.reduce_zero_label
        ignore(cfg, card.ignore_index)


def replaced(cfg: Config, dataset: Any, card: Card, part: Part, training: bool) -> Any:
    """Own data with the pipeline of a config's.

    Wrappers that repeat, join or balance data go, since the length of the run follows from the number of images; those
    that mix images stay, since their pipeline is the augmentation.
    """
    if str(dataset.get('type')).rpartition('.')[2] == 'MultiImageMixDataset':
        dataset.dataset = replaced(cfg, dataset.dataset, card, part, training)
        return dataset
    _, before = next(innermost_configs(dataset))
    own = dict(metainfo=metainfo(card), pipeline=before.get('pipeline') or [], test_mode=not training)
    if card.task == 'semantic':
        own |= dict(
            type=scoped(cfg, 'mmseg', 'BaseSegDataset'),
            data_prefix=dict(img_path=str(part.images), seg_map_path=str(part.labels)),
            img_suffix=part.image_suffix,
            seg_map_suffix=part.label_suffix,
            reduce_zero_label=card.reduce_zero_label,
            ignore_index=card.ignore_index,
        )
        return ConfigDict(own)
    own |= dict(
        type=scoped(cfg, 'mmdet', 'CocoDataset'), ann_file=str(part.labels), data_prefix=dict(img=str(part.images))
    )
    return ConfigDict(own | (dict(filter_cfg=before['filter_cfg']) if before.get('filter_cfg') and training else {}))


def metainfo(card: Card) -> dict[str, Any]:
    """Class names and colours: those of the card, or ones that are easy to distinguish."""
    colours = card.palette or [tuple(map(int, colour)) for colour in palette(card.classes)]
    return dict(classes=card.classes, palette=[list(colour) for colour in colours])


def metric(cfg: Config, card: Card, part: Part, name: str) -> ConfigDict:
    """The metric of a card's task over its labels, with the config's options if the config has it."""
    given = cfg.get(f'{name}_evaluator')
    given = given.get('metrics', given) if isinstance(given, dict) else given
    kind = METRICS_OF[card.task]
    found: dict[str, Any] = next((one for one in as_list(given) if is_kind(cfg, one, kind)), {})
    kept = {key: value for key, value in found.items() if key not in ('format_only', 'outfile_prefix', 'output_dir')}
    own = ConfigDict(kept, type=scoped(cfg, *kind.split('.')))
    if card.task != 'semantic':
        return ConfigDict(own, ann_file=str(part.labels), metric=['bbox', 'segm'] if trains_masks(cfg) else 'bbox')
    measures = as_list(own.get('iou_metrics'))
    return ConfigDict(own, iou_metrics=measures if 'mIoU' in measures else ['mIoU', *measures])


def trains_masks(cfg: Config) -> bool:
    """Whether a detector is trained on masks."""
    return any(step.get('with_mask') for step in walk(cfg.train_dataloader.dataset))


def best_by(cfg: Config) -> str:
    """The name of the figure by which checkpoints of a card's data are chosen."""
    metrics = as_list(cfg.val_evaluator)[0]
    if is_kind(cfg, metrics, 'mmseg.IoUMetric'):
        return 'mIoU'
    return 'coco/segm_mAP' if 'segm' in as_list(metrics.metric) else 'coco/bbox_mAP'


def steps(cfg: Config) -> Iterator[dict[str, Any]]:
    """Every dict with a type in the data sets' configs and in pipelines beside them, each once.

    Those are of test-time augmentation, and of hooks that change the pipeline in the course of a run.
    """
    places = [cfg[loader].dataset for loader in LOADERS if cfg.get(loader)]
    seen: set[int] = set()
    for step in walk([*places, cfg.get('tta_pipeline'), cfg.get('custom_hooks')]):
        if 'type' in step and id(step) not in seen:
            seen.add(id(step))
            yield step


def ignore(cfg: Config, value: int) -> None:
    """One value for the pixels to ignore, in heads, losses, padding, steps and metrics."""
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmengine')):
        for _, head in segmentation_heads(cfg.model):
            for node in walk([head]):
                set_taken(MODELS, node, 'ignore_index', value)
        set_taken(MODELS, cfg.model.get('data_preprocessor') or {}, 'seg_pad_val', value)
        for step in steps(cfg):
            for key in ('seg_pad_val', 'ignore_index'):
                set_taken(TRANSFORMS, step, key, value)
            if 'Pad' in bases(class_of(TRANSFORMS, step)):
                padding = step.get('pad_val', 0)
                step['pad_val'] = dict(padding if isinstance(padding, dict) else dict(img=padding), seg=value)
        for name in ('val_evaluator', 'test_evaluator'):
            set_taken(METRICS, cfg[name], 'ignore_index', value)


def set_taken(registry: Registry, node: dict[str, Any], key: str, value: int) -> None:
    """Set an argument that a config's dict has, or that its class takes with another default."""
    given = arguments(registry, node).get(key) if 'type' in node else None
    if given is not None and given != value:
        node[key] = value


def keep_upright(cfg: Config) -> bool:
    """Take vertical and diagonal flips out of the pipelines; gives whether there were any."""
    found = False
    for step in steps(cfg):
        directions = as_list(step.get('direction'))
        if not str(step['type']).endswith('RandomFlip') or not {'vertical', 'diagonal'} & set(directions):
            continue
        found, given = True, step.get('prob')
        shares = given if isinstance(given, (list, tuple)) else [(given or 0) / len(directions)] * len(directions)
        # Directions without a share of their own have none.
        step['prob'] = float(dict(zip(directions, shares)).get('horizontal', 0.0))
        step['direction'] = 'horizontal'
    return found


def drop_variables(cfg: Config) -> None:
    """Take out what told of the data that were there, so that the config that a run leaves tells of its own."""
    for name in VARIABLES:
        cfg.pop(name, None)

"""Which evaluations tell how robust a model is: what each changes in the config, part by part."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from mmengine.config import Config

from mmseq.config import qualified
from mmseq.datasets.nesting import loader_datasets
from mmseq.engine.own.image_size import OF_STEPS, change
from mmseq.engine.own_versions import evaluators
from mmseq.engine.robustness import PARTS
from mmseq.errors import InputError
from mmseq.evaluation.corruptions import CORRUPTIONS, SEVERITIES
from mmseq.evaluation.views import VIEWS
from mmseq.pictures.prediction import MASK_CLASSIFIERS

# Factors of the size that a config tests at.
FACTORS = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
QUICK_IMAGES = 50
QUICK_CORRUPTIONS = ('gaussian_noise', 'motion_blur', 'fog', 'jpeg_compression')
QUICK_SEVERITIES = (3,)
QUICK_FACTORS = (0.5, 1.0, 2.0)
QUICK_VIEWS = ('flip_horizontal', 'turn_90', 'shift_right')


@dataclass(frozen=True)
class Step:
    """One evaluation.

    Args:
        part: one of ``PARTS``, or ``clean``.
        name: within the part.
        about: what is changed, in JSON's own types.
        loaded: transforms behind the one that loads the image.
        packed: transforms before the last one.
        factor: of the size of images.
        view: how predictions are brought back, of ``VIEWS``.
        probes: configs of further metrics.
        with_metrics: evaluate the config's metrics as well.
        with_logits: the model has to give its logits.
    """

    part: str
    name: str
    about: dict[str, Any] = field(default_factory=dict)
    loaded: tuple[dict[str, Any], ...] = ()
    packed: tuple[dict[str, Any], ...] = ()
    factor: float = 1.0
    view: str | None = None
    probes: tuple[dict[str, Any], ...] = ()
    with_metrics: bool = True
    with_logits: bool = False

    @property
    def key(self) -> str:
        """The name of its folder."""
        return f'{self.part}/{self.name}'

    def loader(self, cfg: Config, images: int | None) -> dict[str, Any]:
        """The loader of a config's test data as this evaluation takes it.

        Args:
            cfg: of an evaluation.
            images: how many are evaluated, the first ones; None for all.

        Raises:
            InputError: data without a pipeline that begins with loading an image.
        """
        loader = deepcopy(cfg.test_dataloader)
        for key, dataset in loader_datasets(loader, 'test_dataloader'):
            dataset['pipeline'] = self._pipeline(dataset.get('pipeline'), cfg.get('default_scope') or 'mmengine', key)
            if images is not None:
                dataset['indices'] = images
        return dict(loader)

    def evaluator(self, cfg: Config) -> Any:
        """The metrics of this evaluation."""
        metrics = [*(deepcopy(evaluators(cfg)) if self.with_metrics else []), *map(dict, self.probes)]
        return dict(type='mmseq.ViewEvaluator', view=self.view, metrics=metrics) if self.view else metrics

    def _pipeline(self, pipeline: Any, scope: str, key: str) -> list[Any]:
        steps = [dict(step) for step in pipeline or ()]
        names = [qualified(step, scope).rpartition('.')[2] for step in steps]
        loading = [i for i, name in enumerate(names) if 'Load' in name and 'Annotation' not in name]
        if not loading:
            raise InputError(f'config: {key}.pipeline has no step that loads an image')
        first = loading[0] + 1
        loaded = list(self.loaded)
        if self.factor != 1 and not self._resize(steps):
            loaded.append(dict(type='Resize', scale_factor=self.factor, keep_ratio=True))
        return [*steps[:first], *loaded, *steps[first:-1], *self.packed, *steps[-1:]]

    def _resize(self, steps: Sequence[dict[str, Any]]) -> bool:
        """Change the sizes of a pipeline; whether it has any."""
        before = deepcopy(list(steps))

        def scaled(value: Any) -> Any:
            if isinstance(value, (list, tuple)):
                return type(value)(scaled(one) for one in value)
            return round(value * self.factor) if isinstance(value, int) and abs(value) > 1 else value

        for step in steps:
            change(step, OF_STEPS, scaled)
            change(step, ('scale_factor',), lambda value: value * self.factor)
        return list(steps) != before


@dataclass(frozen=True)
class Asked:
    """What is asked for.

    Args:
        parts: of ``PARTS``.
        quick: a few corruptions, sizes and views, on few images.
        seed: of the corruptions.
        images: at most so many, the first ones; None for all.
    """

    parts: tuple[str, ...] = PARTS
    quick: bool = False
    seed: int = 0
    images: int | None = None

    @property
    def most_images(self) -> int | None:
        """How many images are evaluated; None for all."""
        return QUICK_IMAGES if self.images is None and self.quick else self.images


def steps_of(cfg: Config, asked: Asked) -> list[Step]:
    """The evaluations of what is asked for, the clean one first.

    Raises:
        InputError: the config has neither mmdet's CocoMetric with a file nor mmseg's IoUMetric.
    """
    probes = probes_of(cfg)
    found = [Step('clean', 'clean')]
    for part in asked.parts:
        found += MAKERS[part](asked, probes)
    return found


Configs = tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Probes:
    """The further metrics that go with a config's own, as configs; empty for what the model cannot give.

    Args:
        boundaries: of outlines.
        sizes: by size of objects, where the config's metric has no such figures.
        places: by place in the image.
        calibration: of confidence.
        kept: keep the predictions.
        with_logits: calibration needs the model's logits.
    """

    boundaries: Configs
    sizes: Configs
    places: Configs
    calibration: Configs
    kept: Configs
    with_logits: bool


def label_probes(ignore_index: int, certainty: str) -> Probes:
    """Of a segmentor; ``certainty`` is what its logits are."""
    own = dict(ignore_index=ignore_index)
    return Probes(
        boundaries=(dict(type='mmseq.LabelBoundaries', **own),),
        sizes=(dict(type='mmseq.LabelSizes', **own),),
        places=(dict(type='mmseq.LabelPlaces', **own),),
        calibration=(dict(type='mmseq.LabelCalibration', certainty=certainty, **own),),
        kept=(dict(type='mmseq.KeptLabels'),),
        with_logits=True,
    )


def instance_probes(ann_file: str, masks: bool) -> Probes:
    """Of a detector, whose masks are evaluated or not."""
    own = dict(ann_file=ann_file)
    return Probes(
        boundaries=(dict(type='mmseq.InstanceBoundaries', **own),) if masks else (),
        sizes=(),
        places=(dict(type='mmseq.InstancePlaces', **own),),
        calibration=(dict(type='mmseq.InstanceCalibration', **own),),
        kept=(dict(type='mmseq.KeptInstances', **own),),
        with_logits=False,
    )


def probes_of(cfg: Config) -> Probes:
    """Those for the first of a config's test metrics that is known.

    Raises:
        InputError: none is.
    """
    scope = cfg.get('default_scope') or 'mmengine'
    metrics = evaluators(cfg)
    for metric in metrics:
        name = qualified(metric, scope).rpartition('.')[2]
        if name == 'CocoMetric' and metric.get('ann_file'):
            kinds = metric.get('metric', 'bbox')
            return instance_probes(metric['ann_file'], 'segm' in ([kinds] if isinstance(kinds, str) else kinds))
        if name == 'IoUMetric':
            head = cfg.model.get('decode_head') or {}
            of_masks = qualified(head, scope).rpartition('.')[2] in MASK_CLASSIFIERS if head else False
            return label_probes(metric.get('ignore_index', 255), 'scores' if of_masks else 'logits')
    listed = ', '.join(str(metric.get('type')) for metric in metrics)
    raise InputError(
        f'config: test_evaluator is {listed}; robustness is measured with CocoMetric and its ann_file, or IoUMetric'
    )


def corruptions(asked: Asked, probes: Probes) -> Iterator[Step]:
    """Every corruption at every severity."""
    for name in QUICK_CORRUPTIONS if asked.quick else CORRUPTIONS:
        for severity in QUICK_SEVERITIES if asked.quick else SEVERITIES:
            about = dict(corruption=name, severity=severity)
            transform = dict(type='mmseq.Corrupt', name=name, severity=severity, seed=asked.seed)
            yield Step('corruptions', f'{name}_{severity}', about, loaded=(transform,))


def boundaries(asked: Asked, probes: Probes) -> Iterator[Step]:
    """Outlines, where the model gives masks or label maps."""
    if probes.boundaries:
        yield Step('boundaries', 'boundaries', probes=probes.boundaries, with_metrics=False)


def resolution(asked: Asked, probes: Probes) -> Iterator[Step]:
    """Smaller and larger images."""
    for factor in QUICK_FACTORS if asked.quick else FACTORS:
        yield Step('resolution', f'{factor:g}', dict(factor=factor), factor=factor, probes=probes.sizes)


def consistency(asked: Asked, probes: Probes) -> Iterator[Step]:
    """The image as it is, and its views; agreement is found between what they leave."""
    yield Step('consistency', 'plain', probes=probes.kept, with_metrics=False)
    for view in QUICK_VIEWS if asked.quick else VIEWS:
        yield Step(
            'consistency',
            view,
            dict(view=view),
            loaded=(dict(type='mmseq.TakeView', view=view),),
            packed=(dict(type='mmseq.TellViewShape', view=view),),
            view=view,
            probes=probes.kept,
        )


def position(asked: Asked, probes: Probes) -> Iterator[Step]:
    """Right and wrong by place."""
    yield Step('position', 'position', probes=probes.places, with_metrics=False)


def calibration(asked: Asked, probes: Probes) -> Iterator[Step]:
    """Confidence beside what is right."""
    yield Step(
        'calibration',
        'calibration',
        probes=probes.calibration,
        with_metrics=False,
        with_logits=probes.with_logits,
    )


MAKERS = dict(
    corruptions=corruptions,
    boundaries=boundaries,
    resolution=resolution,
    consistency=consistency,
    position=position,
    calibration=calibration,
)

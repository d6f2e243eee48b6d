"""Parameters and multiply-adds of a config's model, part by part, as it infers one image."""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from mmseq.errors import InputError
from mmseq.measure.flops import NeedsValuesError, Tally, count
from mmseq.model.build import build, build_here
from mmseq.model.shape import size_divisor, usual_shape

if TYPE_CHECKING:
    from mmengine.model import BaseModel

ROI_HEADS = ('StandardRoIHead', 'CascadeRoIHead')
# The side of the square whose regions FPN reads from stride 16 (arXiv 1612.03144, equation 1).
PROPOSAL = 224
PROPOSAL_STRIDE = 16


@dataclass(frozen=True)
class Complexity:
    """What a model is and does.

    Args:
        shape: height and width of the image in pixels.
        padded: height and width that the model gets, after its data preprocessor's padding.
        parameters: by part of the model (backbone, neck, heads), those that only train included.
        madds: multiply-adds of one inference, by part.
        operators: the same by operator, the largest first.
        modules: the same by the innermost module's name.
        module_parameters: parameters by the name of the module that holds them.
        idle: parts that run in training only.
        uncounted: operators that no formula knows, and the modules that ran them; without them ``madds`` is too low.
        assumptions: what was taken for granted, in words.
    """

    shape: tuple[int, int]
    padded: tuple[int, int]
    parameters: dict[str, int]
    madds: dict[str, int]
    operators: dict[str, int]
    modules: dict[str, int]
    module_parameters: dict[str, int]
    idle: list[str]
    uncounted: dict[str, list[str]]
    assumptions: list[str]

    @property
    def total_parameters(self) -> int:
        return sum(self.parameters.values())

    @property
    def total_madds(self) -> int:
        return sum(self.madds.values())

    def tree(self, depth: int) -> list[tuple[str, int, int | None]]:
        """Name, parameters and multiply-adds of each module so many names deep, each with all that is in it.

        A module comes before those in it. What belongs to an idle part has None for the latter.
        """
        madds, held = sums_below(self.modules, depth), sums_below(self.module_parameters, depth)
        names = dict.fromkeys((*held, *madds))
        first = {name: i for i, name in enumerate(names)}
        # By where each of the modules around it came first: so the order is that of the model.
        order = sorted(names, key=lambda name: [first[around] for around in prefixes(name, depth)])
        counted = {name: None if prefixes(name, 1)[0] in self.idle else madds.get(name, 0) for name in order}
        return [(name, held.get(name, 0), n) for name, n in counted.items()]

    def as_dict(self) -> dict[str, Any]:
        """For a JSON file."""
        return {**asdict(self), 'total_parameters': self.total_parameters, 'total_madds': self.total_madds}


def prefixes(name: str, depth: int) -> list[str]:
    """A module's name and those of the modules around it, the outermost first, so many at most."""
    parts = name.split('.')
    return ['.'.join(parts[:n]) for n in range(1, min(depth, len(parts)) + 1)]


def sums_below(values: Mapping[str, int], depth: int) -> dict[str, int]:
    """Sums of each module so many names deep with all that is in it."""
    sums: dict[str, int] = {}
    for name, value in values.items():
        for prefix in prefixes(name, depth):
            sums[prefix] = sums.get(prefix, 0) + value
    return sums


def parameters(model: nn.Module) -> dict[str, int]:
    """Number of parameters of each child that has any; a parameter that two share counts once."""
    return sums_below(module_parameters(model), 1)


def module_parameters(model: nn.Module) -> dict[str, int]:
    """The same of each module that holds some itself; the model's own are by their names."""
    sums: dict[str, int] = {}
    # Shared ones are named once.
    for name, parameter in model.named_parameters():
        holder = name.rpartition('.')[0] or name
        sums[holder] = sums.get(holder, 0) + parameter.numel()
    return sums


def measure(
    cfg: Config, shape: tuple[int, int] | None = None, said: Callable[[str], object] | None = None
) -> Complexity:
    """Count a config's model, from shapes, or where these do not suffice by running it on a random image.

    Args:
        cfg: of a detector or a segmentor of upstream's kind.
        shape: height and width of the image; by default that of the config, see :func:`~mmseq.model.shape.usual_shape`.
        said: is told if the model has to be run, which takes a while.

    Raises:
        InputError: the model cannot be built, or not be counted from shapes.
    """
    model = build(cfg)
    shape = shape or usual_shape(cfg)
    divisor = size_divisor(cfg)
    padded = (shape[0] + -shape[0] % divisor, shape[1] + -shape[1] % divisor)
    assumptions: list[str] = []
    held = module_parameters(model)
    found = sums_below(held, 1)
    channels = getattr(model.backbone, 'in_channels', 3)

    def run(model: 'BaseModel', x: Tensor, tally: Tally) -> None:
        infer(model, x, tally, assumptions)

    try:
        tally = count(model, (1, channels, *padded), run)
    except NeedsValuesError:
        if said:
            said('what this model does depends on values: it is run on a random image')
        assumptions[:] = ['weights and image are random; what is run depends on their values']
        with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmengine')):
            tally = count(build_here(cfg), (1, channels, *padded), run, values=True)
    modules: dict[str, int] = {}
    for (module, _), n in tally.madds.items():
        modules[module] = modules.get(module, 0) + n
    parts = list(dict.fromkeys(name.partition('.')[0] for name in (*found, *modules)))
    return Complexity(
        shape=(shape[0], shape[1]),
        padded=padded,
        parameters=found,
        madds={part: tally.below(part) for part in parts if tally.below(part)},
        operators=tally.by_operator(),
        modules={name: n for name, n in modules.items() if n},
        module_parameters=held,
        idle=idle_parts(model, tally),
        uncounted={operator: sorted(places) for operator, places in tally.uncounted.items()},
        assumptions=assumptions,
    )


def idle_parts(model: nn.Module, tally: Tally) -> list[str]:
    """The model's children that an inference does not run; embeddings are read without being run."""
    ran = {name.partition('.')[0] for name in tally.ran}
    children = [name for name, child in model.named_children() if not isinstance(child, nn.Embedding)]
    return [name for name in children if name not in ran and sums_below(module_parameters(model), 1).get(name)]


def infer(model: 'BaseModel', x: Tensor, tally: Tally, assumptions: list[str]) -> None:
    """Run what one image runs through, up to the heads' raw outputs.

    Raises:
        InputError: a kind of region head that is not known here.
    """
    if hasattr(model, 'roi_head'):
        features = model.extract_feat(x)
        if getattr(model, 'rpn_head', None) is not None:
            model.rpn_head(features)
        infer_regions(model, tally, assumptions)
    elif hasattr(model, 'decode_head'):
        # Heads of mmdet's kind, such as Mask2Former's, also want to know of the image.
        if 'batch_data_samples' in inspect.signature(type(model.decode_head).forward).parameters:
            model.decode_head(model.extract_feat(x), samples(x))
        else:
            model(x, mode='tensor')
    else:
        model(x, samples(x), mode='tensor')


def samples(x: Tensor) -> list[Any]:
    """What upstream's detectors want to know of an image that fills its batch."""
    # Imported where it is used: segmentation needs no mmdet.
    from mmdet.structures import DetDataSample

    size = tuple(x.shape[2:])
    shapes = dict(img_shape=size, ori_shape=size, pad_shape=size, batch_input_shape=size, scale_factor=(1.0, 1.0))
    return [DetDataSample(metainfo=shapes) for _ in range(len(x))]


def infer_regions(model: 'BaseModel', tally: Tally, assumptions: list[str]) -> None:
    """Run the region heads on as many regions as the config lets through, since which ones the image decides."""
    head = model.roi_head
    if type(head).__name__ not in ROI_HEADS or getattr(head, 'with_shared_head', False):
        raise InputError(
            f'roi_head {type(head).__name__}: not known to the counter, which knows {", ".join(ROI_HEADS)}'
        )
    boxes, masks = model.test_cfg.rpn.max_per_img, model.test_cfg.rcnn.max_per_img
    assumptions.append(
        f'{boxes} proposals of {PROPOSAL} x {PROPOSAL} px, all that test_cfg.rpn.max_per_img lets through'
    )
    for extractor, box_head in zip(*(each(head, name) for name in ('bbox_roi_extractor', 'bbox_head'))):
        infer_stage(extractor, box_head, boxes, tally)
    if head.with_mask:
        assumptions.append(f'masks of {masks} detections, all that test_cfg.rcnn.max_per_img lets through')
        shared = each(head, 'bbox_roi_extractor') if head.share_roi_extractor else each(head, 'mask_roi_extractor')
        for extractor, mask_head in zip(shared, each(head, 'mask_head')):
            infer_stage(extractor, mask_head, masks, tally)


def each(head: nn.Module, name: str) -> list[Any]:
    """The stages of a cascade, or the one module."""
    found = getattr(head, name)
    return list(found) if isinstance(found, nn.ModuleList) else [found]


def infer_stage(extractor: Any, head: Callable[[Tensor], Any], regions: int, tally: Tally) -> None:
    """RoIAlign, which reads a bilinear value at each sampling point, and a head on what it gives."""
    if type(extractor).__name__ != 'SingleRoIExtractor':
        raise InputError(f'{type(extractor).__name__}: not known to the counter, which knows SingleRoIExtractor')
    align = extractor.roi_layers[0]
    features = torch.empty(regions, extractor.out_channels, *align.output_size)
    # As many sampling points as cells of the map lie below one of the output, unless their number is given.
    points = align.sampling_ratio or math.ceil(PROPOSAL / PROPOSAL_STRIDE / align.output_size[0])
    tally.madds['roi_head.roi_align', 'roi_align'] += 4 * points**2 * features.numel()
    head(features)

"""Parameters and multiply-adds of a config's model, part by part, as it infers one image."""

import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict, dataclass
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from mmseq.analysis.flops import Tally, count
from mmseq.errors import InputError, first_line
from mmseq.explain import explaining
from mmseq.explain.channels import check_channels
from mmseq.explain.work import inference
from mmseq.nested import walk
from mmseq.registry import MODELS

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
        uncounted: operators that no formula knows, and the modules that ran them; without them ``madds`` is too low.
        assumptions: what was taken for granted, in words.
    """

    shape: tuple[int, int]
    padded: tuple[int, int]
    parameters: dict[str, int]
    madds: dict[str, int]
    operators: dict[str, int]
    modules: dict[str, int]
    uncounted: dict[str, list[str]]
    assumptions: list[str]

    @property
    def total_parameters(self) -> int:
        return sum(self.parameters.values())

    @property
    def total_madds(self) -> int:
        return sum(self.madds.values())

    def as_dict(self) -> dict[str, Any]:
        """For a JSON file."""
        return {**asdict(self), 'total_parameters': self.total_parameters, 'total_madds': self.total_madds}


def build(cfg: Config) -> nn.Module:
    """The model of a config, without values where its constructor does not ask for any.

    Raises:
        InputError: the model cannot be built.
    """
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmengine')):
        try:
            with torch.device('meta'):
                return build_here(cfg)
        except RuntimeError as error:
            # Some of upstream's constructors, such as Swin's, read a tensor that they have just made.
            if 'meta tensors' not in str(error):
                raise
            return build_here(cfg)


def build_here(cfg: Config) -> nn.Module:
    """The model of a config on the default device.

    Raises:
        InputError: it cannot be built, or its parts do not fit each other.
    """
    try:
        with explaining(inference(cfg)):
            # Constructors such as DINO's write into their config.
            model = MODELS.build(deepcopy(cfg.model))
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, AssertionError) as error:
        raise InputError(f'the model cannot be built: {type(error).__name__}: {first_line(error)}') from error
    check_channels(model, cfg)
    return model


def parameters(model: nn.Module) -> dict[str, int]:
    """Number of parameters of each child that has any; a parameter that two share counts once."""
    seen: set[int] = set()
    sums: dict[str, int] = {}
    for name, parameter in model.named_parameters():
        if id(parameter) not in seen:
            seen.add(id(parameter))
            part = name.partition('.')[0]
            sums[part] = sums.get(part, 0) + parameter.numel()
    return sums


def measure(cfg: Config, shape: tuple[int, int] | None = None) -> Complexity:
    """Count a config's model.

    Args:
        cfg: of a detector or a segmentor of upstream's kind.
        shape: height and width of the image; by default that of the config, see :func:`usual_shape`.

    Raises:
        InputError: the model cannot be built, or not be counted from shapes.
    """
    model = build(cfg)
    shape = shape or usual_shape(cfg)
    divisor = size_divisor(cfg)
    padded = (shape[0] + -shape[0] % divisor, shape[1] + -shape[1] % divisor)
    assumptions: list[str] = []
    found = parameters(model)
    channels = getattr(model.backbone, 'in_channels', 3)

    def run(model: nn.Module, x: Tensor, tally: Tally) -> None:
        infer(model, x, tally, assumptions)

    tally = count(model, (1, channels, *padded), run)
    modules: dict[str, int] = {}
    for (module, _), n in tally.madds.items():
        modules[module] = modules.get(module, 0) + n
    parts = list(dict.fromkeys(name.partition('.')[0] for name in (*found, *modules)))
    return Complexity(
        shape=tuple(shape),
        padded=padded,
        parameters=found,
        madds={part: tally.below(part) for part in parts if tally.below(part)},
        operators=tally.by_operator(),
        modules={name: n for name, n in modules.items() if n},
        uncounted={operator: sorted(places) for operator, places in tally.uncounted.items()},
        assumptions=assumptions,
    )


def usual_shape(cfg: Config) -> tuple[int, int]:
    """The training crop of a segmentor; an image of 16 : 10 at a detector's test scale, 800 x 1280 on COCO.

    Raises:
        InputError: the config's pipelines name neither.
    """
    if cfg.get('default_scope') == 'mmseg':
        crops = [step['crop_size'] for step in walk(cfg.get('train_dataloader')) if step.get('type') == 'RandomCrop']
        if crops:
            return tuple(crops[-1])
    scales = [step['scale'] for step in walk(cfg.get('test_dataloader')) if step.get('type') == 'Resize']
    if not scales:
        raise InputError('the config has neither a RandomCrop to train with nor a Resize to test with; give --shape')
    short, long = sorted(scales[-1])
    return short, min(long, short * 16 // 10)


def size_divisor(cfg: Config) -> int:
    """What the data preprocessor pads test images to a multiple of; 1 if it leaves them."""
    options = cfg.model.get('data_preprocessor') or {}
    return (options.get('test_cfg') or {}).get('size_divisor') or options.get('pad_size_divisor') or 1


def infer(model: nn.Module, x: Tensor, tally: Tally, assumptions: list[str]) -> None:
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


def infer_regions(model: nn.Module, tally: Tally, assumptions: list[str]) -> None:
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


def each(head: nn.Module, name: str) -> list[nn.Module]:
    """The stages of a cascade, or the one module."""
    found = getattr(head, name)
    return list(found) if isinstance(found, nn.ModuleList) else [found]


def infer_stage(extractor: nn.Module, head: Callable[[Tensor], Any], regions: int, tally: Tally) -> None:
    """RoIAlign, which reads a bilinear value at each sampling point, and a head on what it gives."""
    if type(extractor).__name__ != 'SingleRoIExtractor':
        raise InputError(f'{type(extractor).__name__}: not known to the counter, which knows SingleRoIExtractor')
    align = extractor.roi_layers[0]
    features = torch.empty(regions, extractor.out_channels, *align.output_size)
    # As many sampling points as cells of the map lie below one of the output, unless their number is given.
    points = align.sampling_ratio or math.ceil(PROPOSAL / PROPOSAL_STRIDE / align.output_size[0])
    tally.madds['roi_head.roi_align', 'roi_align'] += 4 * points**2 * features.numel()
    head(features)

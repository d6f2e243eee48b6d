"""Deformable attention over maps of several sizes, with the sizes as numbers.

Upstream hands them on in a tensor and reads them back from it, which cannot be recorded for every size. Its encoders
and decoders take a list of pairs as well; what makes the tensor, or computes with it, is replaced here on a copy.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

Shapes = Sequence[tuple[int, int]]


class UnitSteps(TorchFunctionMode):
    """``torch.linspace`` as upstream's transformers call it, in steps of one cell, with sizes that stay symbols."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.linspace:
            start, _, steps = args
            return torch.arange(steps, **kwargs) + start
        return func(*args, **kwargs)


def make_portable(model: nn.Module) -> None:
    """Replace the functions of a copy that cannot be recorded; in place."""
    from mmcv.ops import MultiScaleDeformableAttention
    from mmdet.models.detectors import DeformableDETR
    from mmdet.models.layers import MSDeformAttnPixelDecoder, SinePositionalEncoding

    for child in model.modules():
        if isinstance(child, MultiScaleDeformableAttention):
            child.forward = partial(attend, child)
        elif isinstance(child, MSDeformAttnPixelDecoder):
            child.forward = partial(decode_pixels, child)
        elif isinstance(child, SinePositionalEncoding):
            child.forward = partial(encode_positions, child)
        elif isinstance(child, DeformableDETR):
            child.pre_transformer = partial(before_transformer, child)


def attend(
    layer: Any,
    query: Tensor,
    key: Tensor | None = None,
    value: Tensor | None = None,
    identity: Tensor | None = None,
    query_pos: Tensor | None = None,
    key_padding_mask: Tensor | None = None,
    *,
    reference_points: Tensor,
    spatial_shapes: Shapes,
    **others: Any,
) -> Tensor:
    """What the layer answers to (B, N, C), batches first, with sizes of maps as pairs of numbers."""
    value = query if value is None else value
    identity = query if identity is None else identity
    query = query if query_pos is None else query + query_pos
    if not layer.batch_first:
        query, value = query.transpose(0, 1), value.transpose(0, 1)
    value = layer.value_proj(value)
    if key_padding_mask is not None:
        value = value.masked_fill(key_padding_mask[..., None], 0.0)
    places = sampled_places(layer, query, reference_points, spatial_shapes)
    weights = layer.attention_weights(query).unflatten(2, (layer.num_heads, -1)).softmax(-1)
    y = layer.output_proj(sample(value, spatial_shapes, places, weights))
    return (y if layer.batch_first else y.transpose(0, 1)) + identity


def sampled_places(layer: Any, query: Tensor, points: Tensor, shapes: Shapes) -> Tensor:
    """(B, N, heads, levels, points, 2) from 0 to 1 on each map, around points (B, N, levels, 2) or boxes (..., 4)."""
    offsets = layer.sampling_offsets(query).unflatten(2, (layer.num_heads, layer.num_levels, layer.num_points, 2))
    points = points[:, :, None, :, None]
    if points.shape[-1] == 4:
        return points[..., :2] + offsets / layer.num_points * points[..., 2:] * 0.5
    sizes = torch.stack([numbers(w, h) for h, w in shapes])
    return points + offsets / sizes[:, None]


def numbers(*sizes: int) -> Tensor:
    """Sizes as a tensor of float32, in which they stay symbols."""
    # Each of one number: OpenVINO takes a tensor without axes for one of another shape.
    return torch.cat([torch.full((1,), n, dtype=torch.float32) for n in sizes])


def sample(value: Tensor, shapes: Shapes, places: Tensor, weights: Tensor) -> Tensor:
    """Sums (B, N, C) of values (B, cells, C) at places on their maps, weights (B, N, heads, levels * points)."""
    batch, _, heads = places.shape[:3]
    grids = (2 * places - 1).permute(3, 0, 2, 1, 4, 5).flatten(1, 2)
    maps = value.split([h * w for h, w in shapes], 1)
    found = []
    for x, grid, (h, w) in zip(maps, grids, shapes):
        x = x.transpose(1, 2).clone(memory_format=torch.contiguous_format).view(batch * heads, -1, h, w)
        found.append(F.grid_sample(x, grid, mode='bilinear', padding_mode='zeros', align_corners=False))
    weights = weights.transpose(1, 2).flatten(0, 1)[:, None]
    return (torch.cat(found, -1) * weights).sum(-1).unflatten(0, (batch, heads)).flatten(1, 2).transpose(1, 2)


def decode_pixels(decoder: Any, feats: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """Mask2Former's pixel decoder: maps to mask features and the maps that the queries look at, the smallest first."""
    levels = [decoder.num_input_levels - 1 - i for i in range(decoder.num_encoder_levels)]
    shapes: Shapes = [tuple(feats[level].shape[2:]) for level in levels]
    positions, points, clear = zip(*(place(decoder, i, feats[level], level) for i, level in enumerate(levels)))
    inputs = [conv(feats[level]).flatten(2).transpose(1, 2) for conv, level in zip(decoder.input_convs, levels)]
    reference = torch.cat(points)[None, :, None].repeat(feats[0].shape[0], 1, len(levels), 1)
    memory = decoder.encoder(
        query=torch.cat(inputs, 1),
        query_pos=torch.cat(positions, 1),
        key_padding_mask=torch.cat(clear, 1),
        spatial_shapes=shapes,
        reference_points=reference,
        level_start_index=None,
        valid_ratios=None,
    )
    parts = memory.transpose(1, 2).split([h * w for h, w in shapes], 2)
    outs = [
        x.clone(memory_format=torch.contiguous_format).view(x.shape[0], x.shape[1], h, w)
        for x, (h, w) in zip(parts, shapes)
    ]
    for i in reversed(range(len(feats) - len(levels))):
        x = decoder.lateral_convs[i](feats[i])
        x = x + F.interpolate(outs[-1], size=x.shape[2:], mode='bilinear', align_corners=False)
        outs.append(decoder.output_convs[i](x))
    return decoder.mask_feature(outs[-1]), outs[: decoder.num_outs]


def place(decoder: Any, number: int, x: Tensor, level: int) -> tuple[Tensor, Tensor, Tensor]:
    """Of a map, position embeddings (B, cells, C), middles of cells (cells, 2) from 0 to 1, and that none is padded."""
    height, width = x.shape[2:]
    clear = x.new_zeros((x.shape[0], height, width), dtype=torch.bool)
    position = decoder.postional_encoding(clear) + decoder.level_encoding.weight[number].view(1, -1, 1, 1)
    points = decoder.point_generator.single_level_grid_priors((height, width), level, device=x.device)
    size = numbers(width, height) * decoder.strides[level]
    return position.flatten(2).transpose(1, 2), points / size, clear.flatten(1)


def encode_positions(layer: Any, mask: Tensor) -> Tensor:
    """Position embeddings (B, C, H, W) of a mask (B, H, W) that is true where the image was padded."""
    clear = (~mask).float()
    y, x = clear.cumsum(1), clear.cumsum(2)
    if layer.normalize:
        # Upstream takes the last row as a slice, of which is not seen that it is one row at every size.
        y = (y + layer.offset) / (y.select(1, -1)[:, None] + layer.eps) * layer.scale
        x = (x + layer.offset) / (x.select(2, -1)[:, :, None] + layer.eps) * layer.scale
    steps = torch.arange(layer.num_feats, dtype=torch.float32) // 2
    periods = layer.temperature ** (2 * steps / layer.num_feats)
    return torch.cat([waves(y, periods), waves(x, periods)], 3).permute(0, 3, 1, 2)


def waves(place: Tensor, periods: Tensor) -> Tensor:
    """(B, H, W, periods): sines and cosines of places (B, H, W) in turn."""
    angles = place[..., None] / periods
    return torch.stack([angles[..., 0::2].sin(), angles[..., 1::2].cos()], 4).flatten(3)


def before_transformer(model: Any, feats: Sequence[Tensor], samples: Sequence[Any]) -> tuple[dict[str, Any], ...]:
    """What deformable DETRs hand to their encoder and decoder, from maps of an image padded to the right and below."""
    (shape, whole), batch = (samples[0].img_shape, samples[0].batch_input_shape), feats[0].shape[0]
    rows, columns = (torch.arange(n) >= m for n, m in zip(whole, shape))
    padded = (rows[:, None] | columns).to(feats[0]).expand(batch, 1, *whole)
    masks = [F.interpolate(padded, size=x.shape[2:])[:, 0].bool() for x in feats]
    positions = [model.positional_encoding(mask).flatten(2).transpose(1, 2) for mask in masks]
    both = dict(
        spatial_shapes=[tuple(x.shape[2:]) for x in feats],
        level_start_index=None,
        valid_ratios=torch.stack([model.get_valid_ratio(mask) for mask in masks], 1),
    )
    flat_mask = torch.cat([mask.flatten(1) for mask in masks], 1)
    encoder = dict(
        feat=torch.cat([x.flatten(2).transpose(1, 2) for x in feats], 1),
        feat_mask=flat_mask,
        feat_pos=torch.cat([x + embed for x, embed in zip(positions, model.level_embed)], 1),
    )
    return dict(encoder, **both), dict(memory_mask=flat_mask, **both)

"""The stand-in for `mmcv._ext` against its definition, through mmcv's own Python classes.

The references are loops in float64, as far from the implementation as the definitions allow; autograd runs through
them. References work on the vector of all channels at once.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from mmseq.compat import mmcv_ops

mmcv_ops.install()

if mmcv_ops.provider() == 'compiled':
    pytest.skip('a compiled mmcv._ext is installed, the stand-in has no part here', allow_module_level=True)

from mmcv.ops import (  # noqa: E402
    DeformConv2d,
    DeformConv2dPack,
    ModulatedDeformConv2d,
    ModulatedDeformConv2dPack,
    MultiScaleDeformableAttention,
    RoIAlign,
    RoIPool,
    SigmoidFocalLoss,
    batched_nms,
    nms,
    nms_match,
    roi_align,
    roi_pool,
    sigmoid_focal_loss,
    soft_nms,
)
from mmcv.ops.multi_scale_deform_attn import MultiScaleDeformableAttnFunction  # noqa: E402

DEVICES = ['cpu', 'cuda'] if torch.cuda.is_available() else ['cpu']
LOW = [torch.float16, torch.bfloat16]


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def randn(*shape: int, rng: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=rng, dtype=torch.float64)


def assert_close(actual: Tensor, expected: Tensor, tolerance: float = 1e-5) -> None:
    assert actual.shape == expected.shape
    torch.testing.assert_close(actual.detach().double().cpu(), expected.detach(), atol=tolerance, rtol=tolerance)


def gradients(output: Tensor, inputs: list[Tensor], grad: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(output, inputs, grad.to(output))


# Suppression


def random_boxes(count: int, rng: torch.Generator) -> Tensor:
    corner = torch.rand(count, 2, generator=rng, dtype=torch.float64) * 20
    return torch.cat([corner, corner + 1 + torch.rand(count, 2, generator=rng, dtype=torch.float64) * 15], dim=1)


def naive_iou(a: list[float], b: list[float], offset: int) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0]) + offset
    height = min(a[3], b[3]) - max(a[1], b[1]) + offset
    both = max(width, 0) * max(height, 0)
    areas = [(box[2] - box[0] + offset) * (box[3] - box[1] + offset) for box in (a, b)]
    return both / (sum(areas) - both)


def naive_nms(boxes: Tensor, scores: Tensor, threshold: float, offset: int) -> list[int]:
    kept: list[int] = []
    for i in sorted(range(len(boxes)), key=lambda i: -float(scores[i])):
        if all(naive_iou(boxes[i].tolist(), boxes[j].tolist(), offset) <= threshold for j in kept):
            kept.append(i)
    return kept


def naive_soft_nms(
    boxes: Tensor, scores: Tensor, threshold: float, sigma: float, min_score: float, method: str, offset: int
) -> list[tuple[int, float]]:
    """Kept indices and their decayed scores, in order of selection."""
    rest = dict(enumerate(scores.tolist()))
    kept = []
    while rest:
        best = max(rest, key=rest.__getitem__)
        kept.append((best, rest.pop(best)))
        for i in list(rest):
            iou = naive_iou(boxes[best].tolist(), boxes[i].tolist(), offset)
            linear = 1 - iou if method == 'linear' else 0
            rest[i] *= math.exp(-iou * iou / sigma) if method == 'gaussian' else linear if iou >= threshold else 1
            if rest[i] < min_score:
                del rest[i]
    return kept


@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('dtype', [torch.float64, torch.float32, *LOW])
def test_nms_keeps_what_the_definition_keeps(
    device: str, dtype: torch.dtype, offset: int, rng: torch.Generator
) -> None:
    boxes = random_boxes(60, rng).to(dtype)
    scores = (torch.randperm(60, generator=rng) / 64).to(dtype)
    dets, kept = nms(boxes.to(device), scores.to(device), 0.45, offset=offset)
    expected = naive_nms(boxes.double(), scores.double(), 0.45, offset)
    assert 1 < len(expected) < 60
    assert kept.tolist() == expected
    assert kept.dtype == torch.int64
    assert dets.dtype == dtype
    assert torch.equal(dets.cpu(), torch.cat([boxes, scores[:, None]], dim=1)[expected])


def test_nms_compares_with_the_threshold_in_single_precision(device: str) -> None:
    # The IoU is 3 / 10 to the bit: not above 0.3 in mmcv, above it where the threshold is held in double.
    boxes = torch.tensor([[0.0, 0, 10, 1], [0, 0, 3, 1]], device=device)
    assert len(nms(boxes, torch.tensor([0.9, 0.8], device=device), 0.3)[1]) == 2


def test_nms_of_numpy_arrays_with_score_filter_and_limit(rng: torch.Generator) -> None:
    boxes = random_boxes(40, rng).float().numpy()
    scores = torch.rand(40, generator=rng).numpy()
    dets, kept = nms(boxes, scores, 0.5, score_threshold=0.3, max_num=4)
    inside = np.flatnonzero(scores > 0.3)
    expected = inside[naive_nms(torch.tensor(boxes[inside]).double(), torch.tensor(scores[inside]), 0.5, 0)[:4]]
    assert isinstance(dets, np.ndarray)
    assert kept.tolist() == expected.tolist()


@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('method', ['naive', 'linear', 'gaussian'])
def test_soft_nms_decays_as_defined(device: str, method: str, offset: int, rng: torch.Generator) -> None:
    boxes, scores = random_boxes(50, rng), torch.rand(50, generator=rng, dtype=torch.float64)
    settings = {'iou_threshold': 0.3, 'sigma': 0.5, 'min_score': 0.1, 'method': method, 'offset': offset}
    dets, kept = soft_nms(boxes.float().to(device), scores.float().to(device), **settings)
    expected = naive_soft_nms(boxes, scores, 0.3, 0.5, 0.1, method, offset)
    assert 1 < len(expected) < 50
    assert kept.tolist() == [index for index, _ in expected]
    assert_close(dets[:, :4], boxes[kept.cpu()])
    assert_close(dets[:, 4], torch.tensor([score for _, score in expected], dtype=torch.float64))


def test_soft_nms_breaks_ties_as_mmcv() -> None:
    # 2 is the best and changes places with 0; 1 and 0 fall out. mmcv fills their places from the end: 5, 4, 3.
    left = torch.tensor([0.0, 0, 0, 100, 200, 300])
    boxes = torch.stack([left, torch.zeros(6), left + 1, torch.ones(6)], dim=1)
    scores = torch.tensor([0.5, 0.5, 0.9, 0.5, 0.5, 0.5])
    assert soft_nms(boxes, scores, 0.5, method='naive', min_score=0.1)[1].tolist() == [2, 5, 4, 3]


def test_soft_nms_rejects_an_unknown_method() -> None:
    from mmcv import _ext

    boxes = torch.zeros(1, 4)
    with pytest.raises(ValueError, match='method must be 0'):
        _ext.softnms(boxes, torch.ones(1), torch.zeros(1, 5), 0.5, 0.5, 0.1, 3, 0)


def test_nms_match_groups_by_the_box_that_suppresses(rng: torch.Generator) -> None:
    boxes, scores = random_boxes(30, rng), torch.rand(30, generator=rng, dtype=torch.float64)
    rest = sorted(range(30), key=lambda i: -float(scores[i]))
    expected = []
    while rest:
        group = [i for i in rest if i == rest[0] or naive_iou(boxes[rest[0]].tolist(), boxes[i].tolist(), 0) >= 0.4]
        expected.append(group)
        rest = [i for i in rest if i not in group]
    groups = nms_match(torch.cat([boxes, scores[:, None]], dim=1).float(), 0.4)
    assert [group.tolist() for group in groups] == expected
    assert nms_match(torch.zeros(0, 5), 0.4) == []


@pytest.mark.parametrize('kind', ['nms', 'soft_nms'])
def test_batched_nms_keeps_classes_apart(device: str, kind: str, rng: torch.Generator) -> None:
    boxes, scores = random_boxes(60, rng).float(), torch.rand(60, generator=rng)
    classes = torch.randint(0, 3, (60,), generator=rng)
    dets, kept = batched_nms(
        boxes.to(device), scores.to(device), classes.to(device), {'type': kind, 'iou_threshold': 0.45}
    )
    assert (dets[:-1, 4] >= dets[1:, 4]).all()
    expected = set()
    for label in range(3):
        members = (classes == label).nonzero().flatten()
        own = boxes[members].double(), scores[members].double()
        if kind == 'nms':
            indices = naive_nms(*own, 0.45, 0)
        else:
            indices = [index for index, _ in naive_soft_nms(*own, 0.45, 0.5, 1e-3, 'linear', 0)]
        expected |= set(members[indices].tolist())
    assert set(kept.tolist()) == expected


def test_suppression_of_nothing(device: str) -> None:
    boxes, scores = torch.zeros(0, 4, device=device), torch.zeros(0, device=device)
    for dets, kept in (nms(boxes, scores, 0.5), soft_nms(boxes, scores, 0.5)):
        assert dets.shape == (0, 5)
        assert kept.shape == (0,)
        assert kept.dtype == torch.int64


# Regions

# Image index and corners: ordinary, twice across the border, outside, without area, wrong way round by pixels and by a
# fraction of one, larger than the map.
ROIS = torch.tensor(
    [
        [0, 3.3, 2.1, 14.9, 11.2],
        [1, -6.5, -3.2, 9.7, 4.4],
        [1, 15.2, 9.9, 40.3, 33.1],
        [0, 70.0, 70.0, 80.0, 90.0],
        [0, 5.5, 6.5, 5.5, 6.5],
        [1, 9.0, 8.0, 6.0, 3.0],
        [0, 7.9, 4.0, 6.5, 9.0],
        [1, -20.1, -20.2, 60.3, 50.4],
    ],
    dtype=torch.float64,
)
SCALE = 0.45


def naive_bilinear(plane: Tensor, y: float, x: float) -> Tensor:
    """Sample (C,) of a map (C, H, W) as RoIAlign does: the border holds for one pixel outside."""
    height, width = plane.shape[1:]
    if not (-1 <= y <= height and -1 <= x <= width):
        return plane.new_zeros(plane.shape[0])
    y, x = min(max(y, 0.0), height - 1.0), min(max(x, 0.0), width - 1.0)
    total = plane.new_zeros(plane.shape[0])
    for row in range(height):
        for column in range(width):
            near = max(0.0, 1 - abs(y - row)) * max(0.0, 1 - abs(x - column))
            if near:
                total = total + near * plane[:, row, column]
    return total


def naive_roi_align(maps: Tensor, rois: Tensor, size: tuple[int, int], ratio: int, mode: str, aligned: bool) -> Tensor:
    output = []
    for image, *corners in rois.tolist():
        x1, y1, x2, y2 = (corner * SCALE - 0.5 * aligned for corner in corners)
        height, width = y2 - y1, x2 - x1
        if not aligned:
            height, width = max(height, 1), max(width, 1)
        rows = ratio or math.ceil(height / size[0])
        columns = ratio or math.ceil(width / size[1])
        for i in range(size[0]):
            for j in range(size[1]):
                samples = [
                    naive_bilinear(
                        maps[int(image)],
                        y1 + (i + (row + 0.5) / rows) * height / size[0],
                        x1 + (j + (column + 0.5) / columns) * width / size[1],
                    )
                    for row in range(rows)
                    for column in range(columns)
                ] or [maps.new_zeros(maps.shape[1])]
                stack = torch.stack(samples)
                output.append(stack.mean(0) if mode == 'avg' else stack.max(0).values)
    return torch.stack(output).view(len(rois), *size, -1).permute(0, 3, 1, 2)


def naive_roi_pool(maps: Tensor, rois: Tensor, size: tuple[int, int]) -> Tensor:
    output = []
    height, width = maps.shape[2:]
    for image, x1, y1, x2, y2 in rois.tolist():
        x1, y1, x2, y2 = x1 * SCALE, y1 * SCALE, (x2 + 1) * SCALE, (y2 + 1) * SCALE
        for i in range(size[0]):
            for j in range(size[1]):
                top, bottom = (y1 + k * (y2 - y1) / size[0] for k in (i, i + 1))
                left, right = (x1 + k * (x2 - x1) / size[1] for k in (j, j + 1))
                # A pixel belongs to each bin that it touches.
                rows = [y for y in range(height) if math.floor(top) <= y < math.ceil(bottom)]
                columns = [x for x in range(width) if math.floor(left) <= x < math.ceil(right)]
                inside = maps[int(image)][:, rows][:, :, columns].flatten(1)
                valid = inside.shape[1] and x2 > x1 and y2 > y1
                output.append(inside.max(1).values if valid else maps.new_zeros(maps.shape[1]))
    return torch.stack(output).view(len(rois), *size, -1).permute(0, 3, 1, 2)


@pytest.mark.parametrize('mode', ['avg', 'max'])
@pytest.mark.parametrize('aligned', [False, True])
@pytest.mark.parametrize('ratio', [0, 2])
def test_roi_align_forward_and_backward(
    device: str, ratio: int, aligned: bool, mode: str, rng: torch.Generator
) -> None:
    maps = randn(2, 3, 7, 9, rng=rng).requires_grad_()
    expected = naive_roi_align(maps, ROIS, (3, 2), ratio, mode, aligned)
    grad = randn(*expected.shape, rng=rng)
    actual_maps = maps.detach().float().to(device).requires_grad_()
    actual = RoIAlign((3, 2), SCALE, ratio, mode, aligned)(actual_maps, ROIS.float().to(device))
    assert_close(actual, expected)
    # The gradient arrives in any layout.
    grad_nhwc = grad.to(memory_format=torch.channels_last)
    assert_close(*gradients(actual, [actual_maps], grad_nhwc), *gradients(expected, [maps], grad))


@pytest.mark.parametrize('mode', ['avg', 'max'])
def test_roi_align_gradcheck(mode: str, rng: torch.Generator) -> None:
    maps = randn(2, 2, 4, 5, rng=rng).requires_grad_()
    rois = ROIS[[0, 1, 7]] / 3
    for ratio in (0, 2):
        assert torch.autograd.gradcheck(lambda x, r=ratio: roi_align(x, rois, (2, 3), SCALE, r, mode, True), maps)


def test_roi_align_adds_to_the_buffer_of_gradients(rng: torch.Generator) -> None:
    from mmcv import _ext

    once, twice = torch.zeros(2, 3, 7, 9), torch.zeros(2, 3, 7, 9)
    empty, grad = torch.zeros(0), randn(len(ROIS), 3, 3, 2, rng=rng).float()
    for buffer in (once, twice, twice):
        _ext.roi_align_backward(grad, ROIS.float(), empty, empty, buffer, 3, 2, SCALE, 2, 1, True)
    assert once.any()
    torch.testing.assert_close(twice, 2 * once)


def test_roi_align_rejects_an_unknown_pool_mode() -> None:
    from mmcv import _ext

    empty = torch.zeros(0)
    with pytest.raises(ValueError, match='pool_mode must be 0'):
        _ext.roi_align_forward(empty, empty, empty, empty, empty, 2, 2, 1.0, 0, 2, True)


def test_roi_pool_forward_and_backward(device: str, rng: torch.Generator) -> None:
    maps = randn(2, 3, 7, 9, rng=rng).requires_grad_()
    expected = naive_roi_pool(maps, ROIS, (3, 2))
    grad = randn(*expected.shape, rng=rng)
    actual_maps = maps.detach().float().to(device).requires_grad_()
    actual = RoIPool((3, 2), SCALE)(actual_maps, ROIS.float().to(device))
    assert_close(actual, expected)
    assert_close(*gradients(actual, [actual_maps], grad), *gradients(expected, [maps], grad))


def test_roi_pool_gradcheck(rng: torch.Generator) -> None:
    maps = randn(2, 2, 4, 5, rng=rng).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: roi_pool(x, ROIS / 3, (2, 3), SCALE), maps)


@pytest.mark.parametrize('dtype', LOW)
@pytest.mark.parametrize('layer', [RoIAlign(3, SCALE), RoIAlign(3, SCALE, pool_mode='max'), RoIPool(3, SCALE)])
def test_regions_in_low_precision(
    device: str, layer: torch.nn.Module, dtype: torch.dtype, rng: torch.Generator
) -> None:
    maps = randn(2, 3, 7, 9, rng=rng).to(dtype)
    # mmdet's extractors hand regions over in the type of the features; others leave them in float32. Either way the
    # positions of the samples are computed in float32.
    for rois in (ROIS.float(), ROIS.to(dtype)):
        wide, low = (m.to(device).requires_grad_() for m in (maps.float(), maps.clone()))
        expected, actual = layer(wide, rois.float().to(device)), layer(low, rois.to(device))
        assert actual.dtype == dtype
        assert_close(actual, expected.double().cpu(), 2 * torch.finfo(dtype).eps)
        grad = randn(*expected.shape, rng=rng).to(dtype)
        (by_wide,), (by_low,) = gradients(expected, [wide], grad), gradients(actual, [low], grad)
        assert by_low.dtype == dtype
        assert_close(by_low, by_wide.double().cpu(), 2 * torch.finfo(dtype).eps)


@pytest.mark.parametrize('layer', [RoIAlign((3, 2)), RoIAlign((3, 2), pool_mode='max'), RoIPool((3, 2))])
def test_no_regions(device: str, layer: torch.nn.Module) -> None:
    maps = torch.randn(2, 4, 7, 9, device=device, requires_grad=True)
    output = layer(maps, torch.zeros(0, 5, device=device))
    assert output.shape == (0, 4, 3, 2)
    output.sum().backward()
    assert torch.equal(maps.grad, torch.zeros_like(maps))


# Focal loss


def naive_focal_loss(logits: Tensor, target: Tensor, weight: Tensor | None, gamma: float, alpha: float) -> Tensor:
    rows = []
    for row, label in zip(logits, target.tolist()):
        for c, logit in enumerate(row):
            p = torch.sigmoid(logit)
            if c == label:
                loss = -alpha * (1 - p) ** gamma * p.log()
            else:
                loss = -(1 - alpha) * p**gamma * (1 - p).log()
            # The factor goes by the row's target, not by the column.
            rows.append(loss if weight is None or not 0 <= label < len(row) else loss * weight[label])
    return torch.stack(rows).view_as(logits)


@pytest.mark.parametrize('weighted', [False, True])
@pytest.mark.parametrize('gamma, alpha', [(2.0, 0.25), (0.0, 0.5), (1.5, 0.9)])
@pytest.mark.parametrize('reduction', ['none', 'mean', 'sum'])
def test_focal_loss_forward_and_backward(
    device: str, reduction: str, gamma: float, alpha: float, weighted: bool, rng: torch.Generator
) -> None:
    logits = (3 * randn(11, 5, rng=rng)).requires_grad_()
    # 5 is background, as is -1.
    target = torch.tensor([0, 1, 2, 3, 4, 5, 5, -1, 0, 3, 5])
    weight = torch.rand(5, generator=rng) if weighted else None
    expected = naive_focal_loss(logits, target, weight, gamma, alpha)
    if reduction != 'none':
        expected = expected.sum() / (11 if reduction == 'mean' else 1)
    actual_logits = logits.detach().float().to(device).requires_grad_()
    loss = SigmoidFocalLoss(gamma, alpha, weight, reduction).to(device)
    actual = loss(actual_logits, target.to(device))
    assert_close(actual, expected)
    grad = randn(*expected.shape, rng=rng)
    assert_close(*gradients(actual, [actual_logits], grad), *gradients(expected, [logits], grad))


def test_focal_loss_gradcheck(rng: torch.Generator) -> None:
    logits = randn(4, 3, rng=rng).requires_grad_()
    target = torch.tensor([0, 3, 2, 1])
    assert torch.autograd.gradcheck(lambda x: sigmoid_focal_loss(x, target, 2.0, 0.25, None, 'sum'), logits)


def test_focal_loss_saturates_at_the_smallest_normal_float(device: str) -> None:
    logits = torch.tensor([[100.0], [-100.0]], device=device, requires_grad=True)
    loss = sigmoid_focal_loss(logits, torch.tensor([1, 0], device=device), 2.0, 0.25, None, 'none')
    limit = -math.log(torch.finfo(torch.float32).tiny)
    assert loss.flatten().tolist() == pytest.approx([0.75 * limit, 0.25 * limit])
    loss.sum().backward()
    assert logits.grad.flatten().tolist() == pytest.approx([0.75, -0.25])


@pytest.mark.parametrize('dtype', LOW)
def test_focal_loss_in_low_precision(device: str, dtype: torch.dtype, rng: torch.Generator) -> None:
    logits = (3 * randn(11, 5, rng=rng)).to(dtype).to(device).requires_grad_()
    wide = logits.detach().float().requires_grad_()
    target = torch.randint(0, 6, (11,), generator=rng).to(device)
    actual, expected = (sigmoid_focal_loss(x, target, 2.0, 0.25, None, 'none') for x in (logits, wide))
    assert actual.dtype == dtype
    assert_close(actual, expected.double().cpu(), torch.finfo(dtype).eps)
    grad = torch.ones_like(expected)
    (by_low,), (by_wide,) = gradients(actual, [logits], grad), gradients(expected, [wide], grad)
    assert_close(by_low, by_wide.double().cpu(), torch.finfo(dtype).eps)


def test_focal_loss_of_no_rows_and_of_a_wrong_class(device: str) -> None:
    logits = torch.zeros(0, 3, device=device, requires_grad=True)
    target = torch.zeros(0, dtype=torch.long, device=device)
    loss = sigmoid_focal_loss(logits, target, 2.0, 0.25, None, 'sum')
    loss.backward()
    assert loss == 0
    assert logits.grad.shape == (0, 3)
    with pytest.raises(ValueError, match='target 4 is above the number of classes, 3'):
        sigmoid_focal_loss(torch.zeros(1, 3, device=device), torch.tensor([4], device=device))


# Deformable convolution

GEOMETRIES = [
    {'kernel_size': 3, 'padding': 1},
    {'kernel_size': (3, 2), 'stride': (2, 1), 'padding': (1, 0), 'dilation': (1, 2), 'groups': 2, 'deform_groups': 2},
    {'kernel_size': 1, 'stride': 2, 'groups': 4, 'deform_groups': 4},
]


def naive_zero_padded(plane: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """Bilinear sample (C,) of a map (C, H, W), which is 0 outside; differentiable in y and x."""
    total = plane.new_zeros(plane.shape[0])
    top, left = math.floor(y.detach()), math.floor(x.detach())
    for row in (top, top + 1):
        for column in (left, left + 1):
            if 0 <= row < plane.shape[1] and 0 <= column < plane.shape[2]:
                total = total + (1 - (y - row).abs()) * (1 - (x - column).abs()) * plane[:, row, column]
    return total


def naive_deform_conv(x: Tensor, offset: Tensor, mask: Tensor | None, conv: torch.nn.Module, weight: Tensor) -> Tensor:
    """The convolution without bias, with the geometry of `conv`."""
    kernel, per_group = weight.shape[2:], x.shape[1] // conv.deform_groups
    points = [(i, j) for i in range(kernel[0]) for j in range(kernel[1])]
    output = []
    for n in range(x.shape[0]):
        for row in range(offset.shape[2]):
            for column in range(offset.shape[3]):
                taps = []
                for p, (i, j) in enumerate(points):
                    for g in range(conv.deform_groups):
                        k = g * len(points) + p
                        y = (
                            row * conv.stride[0]
                            - conv.padding[0]
                            + i * conv.dilation[0]
                            + offset[n, 2 * k, row, column]
                        )
                        z = column * conv.stride[1] - conv.padding[1] + j * conv.dilation[1]
                        tap = naive_zero_padded(
                            x[n, g * per_group : (g + 1) * per_group], y, z + offset[n, 2 * k + 1, row, column]
                        )
                        taps.append(tap if mask is None else tap * mask[n, k, row, column])
                # (groups, C_in / groups, points)
                patch = torch.cat(taps).view(len(points), conv.groups, -1).permute(1, 2, 0)
                kernels = weight.flatten(2).view(conv.groups, -1, *patch.shape[1:])
                output.append(torch.einsum('gop,gp->go', kernels.flatten(2), patch.flatten(1)).flatten())
    return torch.stack(output).view(x.shape[0], *offset.shape[2:], -1).permute(0, 3, 1, 2)


def deform_inputs(geometry: dict, modulated: bool, rng: torch.Generator) -> tuple[torch.nn.Module, list[Tensor]]:
    """A convolution of 4 to 8 channels with random weights in float64, and its inputs for a 5 x 7 map."""
    conv = (ModulatedDeformConv2d if modulated else DeformConv2d)(4, 8, bias=modulated, **geometry).double()
    for parameter in conv.parameters():
        parameter.data = randn(*parameter.shape, rng=rng)
    kernel = conv.weight.shape[2:]
    size = [
        (length + 2 * pad - step * (k - 1) - 1) // stride + 1
        for length, pad, step, k, stride in zip((5, 7), conv.padding, conv.dilation, kernel, conv.stride)
    ]
    points = conv.deform_groups * kernel[0] * kernel[1]
    inputs = [randn(2, 4, 5, 7, rng=rng), 1.5 * randn(2, 2 * points, *size, rng=rng)]
    if modulated:
        inputs.append(torch.rand(2, points, *size, generator=rng, dtype=torch.float64))
    return conv, [tensor.requires_grad_() for tensor in inputs]


@pytest.mark.parametrize('modulated', [False, True])
@pytest.mark.parametrize('geometry', GEOMETRIES)
def test_deform_conv_forward_and_backward(device: str, geometry: dict, modulated: bool, rng: torch.Generator) -> None:
    conv, inputs = deform_inputs(geometry, modulated, rng)
    expected = naive_deform_conv(*inputs[:2], inputs[2] if modulated else None, conv, conv.weight)
    if modulated:
        expected = expected + conv.bias[:, None, None]
    grad = randn(*expected.shape, rng=rng)
    by_naive = gradients(expected, [*inputs, *conv.parameters()], grad)
    conv = conv.float().to(device)
    inputs = [tensor.detach().float().to(device).requires_grad_() for tensor in inputs]
    actual = conv(*inputs)
    assert_close(actual, expected, 1e-4)
    for by_actual, by_expected in zip(gradients(actual, [*inputs, *conv.parameters()], grad), by_naive, strict=True):
        assert_close(by_actual, by_expected, 1e-4)


@pytest.mark.parametrize('modulated', [False, True])
def test_deform_conv_gradcheck(modulated: bool, rng: torch.Generator) -> None:
    conv, inputs = deform_inputs({'kernel_size': 2, 'stride': 3, 'groups': 2, 'deform_groups': 2}, modulated, rng)
    conv.requires_grad_(False)
    assert torch.autograd.gradcheck(conv, inputs)


@pytest.mark.parametrize('modulated', [False, True])
@pytest.mark.parametrize('dtype', LOW)
def test_deform_conv_in_low_precision(device: str, dtype: torch.dtype, modulated: bool, rng: torch.Generator) -> None:
    conv, inputs = deform_inputs(GEOMETRIES[1], modulated, rng)
    conv = conv.to(device, dtype)
    inputs = [tensor.detach().to(device, dtype).requires_grad_() for tensor in inputs]
    actual = conv(*inputs)
    grad = torch.ones_like(actual)
    by_low = gradients(actual, [*inputs, *conv.parameters()], grad)
    assert actual.dtype == dtype
    conv = conv.float()
    inputs = [tensor.detach().float().requires_grad_() for tensor in inputs]
    expected = conv(*inputs)
    tolerance = 2 * torch.finfo(dtype).eps
    assert_close(actual, expected.double().cpu(), tolerance)
    for low, wide in zip(by_low, gradients(expected, [*inputs, *conv.parameters()], grad), strict=True):
        assert low.dtype == dtype
        assert_close(low, wide.double().cpu(), tolerance)


@pytest.mark.parametrize('layer', [DeformConv2dPack, ModulatedDeformConv2dPack])
def test_deform_conv_under_autocast(device: str, layer: type, rng: torch.Generator) -> None:
    conv = layer(4, 8, 3, padding=1).to(device)
    x = randn(2, 4, 5, 7, rng=rng).float().to(device).requires_grad_()
    expected = conv(x)
    with torch.autocast(device, torch.bfloat16):
        # The convolution inside that makes the offsets now returns bfloat16.
        actual = conv(x)
    assert actual.dtype == torch.bfloat16
    assert_close(actual, expected.double().cpu(), 0.05)
    actual.sum().backward()
    assert {parameter.grad.dtype for parameter in (x, *conv.parameters())} == {torch.float32}
    assert conv.conv_offset.weight.grad.any()


def test_deform_conv_of_an_empty_batch(device: str) -> None:
    from mmcv import _ext

    # The operators themselves: mmcv's Python classes refuse a batch of none.
    x, offset, mask, output = (torch.zeros(0, c, 5, 7, device=device) for c in (4, 18, 9, 8))
    weight, bias, unused = torch.ones(8, 4, 3, 3, device=device), torch.ones(8, device=device), torch.zeros(0)
    sizes = (3, 3, 1, 1, 1, 1, 1, 1, 1, 1)
    grads = [torch.zeros_like(tensor) for tensor in (x, weight, bias, offset, mask)]
    _ext.deform_conv_forward(x, weight, offset, output, unused, unused, *sizes, 1)
    _ext.deform_conv_backward_input(x, offset, output, grads[0], grads[3], weight, unused, *sizes, 1)
    _ext.deform_conv_backward_parameters(x, offset, output, grads[1], unused, unused, *sizes, 1.0, 1)
    _ext.modulated_deform_conv_forward(x, weight, bias, unused, offset, mask, output, unused, *sizes, True)
    _ext.modulated_deform_conv_backward(
        x, weight, bias, unused, offset, mask, unused, *grads, output, *sizes, with_bias=True
    )
    assert not any(grad.any() for grad in grads)


# Multi-scale deformable attention

LEVELS = torch.tensor([[5, 7], [3, 4], [1, 2]])
STARTS = torch.tensor([0, 35, 47])


def attention_inputs(rng: torch.Generator) -> list[Tensor]:
    """Values (2, 49, 3, 4), locations (2, 5, 3, 3, 2, 2), some of them outside, and weights (2, 5, 3, 3, 2)."""
    inputs = [
        randn(2, 49, 3, 4, rng=rng),
        torch.rand(2, 5, 3, 3, 2, 2, generator=rng, dtype=torch.float64) * 1.4 - 0.2,
        randn(2, 5, 3, 3, 2, rng=rng),
    ]
    return [tensor.requires_grad_() for tensor in inputs]


def naive_attention(value: Tensor, locations: Tensor, weights: Tensor) -> Tensor:
    batch, queries, heads, levels, points = weights.shape
    output = []
    for b in range(batch):
        for q in range(queries):
            for m in range(heads):
                total = value.new_zeros(value.shape[3])
                for level in range(levels):
                    height, width = LEVELS[level].tolist()
                    begin = int(STARTS[level])
                    plane = value[b, begin : begin + height * width, m].view(height, width, -1).permute(2, 0, 1)
                    for p in range(points):
                        x, y = locations[b, q, m, level, p]
                        sample = naive_zero_padded(plane, y * height - 0.5, x * width - 0.5)
                        total = total + weights[b, q, m, level, p] * sample
                output.append(total)
    return torch.stack(output).view(batch, queries, -1)


def attend(value: Tensor, locations: Tensor, weights: Tensor) -> Tensor:
    levels, starts = LEVELS.to(value.device), STARTS.to(value.device)
    return MultiScaleDeformableAttnFunction.apply(value, levels, starts, locations, weights, 64)


def test_attention_forward_and_backward(device: str, rng: torch.Generator) -> None:
    inputs = attention_inputs(rng)
    expected = naive_attention(*inputs)
    grad = randn(*expected.shape, rng=rng)
    actual_inputs = [tensor.detach().float().to(device).requires_grad_() for tensor in inputs]
    actual = attend(*actual_inputs)
    assert_close(actual, expected)
    by_naive = gradients(expected, inputs, grad)
    for by_actual, by_expected in zip(gradients(actual, actual_inputs, grad), by_naive, strict=True):
        assert_close(by_actual, by_expected, 1e-4)


def test_attention_in_double_precision_is_the_formula(rng: torch.Generator) -> None:
    inputs = attention_inputs(rng)
    actual, expected = attend(*inputs), naive_attention(*inputs)
    assert_close(actual, expected, 1e-12)
    grad = randn(*expected.shape, rng=rng)
    for by_actual, by_expected in zip(gradients(actual, inputs, grad), gradients(expected, inputs, grad), strict=True):
        assert_close(by_actual, by_expected, 1e-12)


def test_attention_gradcheck(rng: torch.Generator) -> None:
    value, locations, weights = attention_inputs(rng)
    inputs = [value[:1, :, :1, :2], locations[:1, :2, :1], weights[:1, :2, :1]]
    assert torch.autograd.gradcheck(attend, [tensor.detach().requires_grad_() for tensor in inputs])


@pytest.mark.parametrize('dtype', LOW)
def test_attention_in_low_precision(device: str, dtype: torch.dtype, rng: torch.Generator) -> None:
    inputs = [tensor.detach().to(device, dtype).requires_grad_() for tensor in attention_inputs(rng)]
    wide = [tensor.detach().float().requires_grad_() for tensor in inputs]
    actual, expected = attend(*inputs), attend(*wide)
    assert actual.dtype == dtype
    tolerance = 2 * torch.finfo(dtype).eps
    assert_close(actual, expected.double().cpu(), tolerance)
    grad = torch.ones_like(expected)
    for low, by_wide in zip(gradients(actual, inputs, grad), gradients(expected, wide, grad), strict=True):
        assert low.dtype == dtype
        assert_close(low, by_wide.double().cpu(), tolerance)


def test_attention_of_no_queries(device: str, rng: torch.Generator) -> None:
    value, locations, weights = (tensor.detach().to(device) for tensor in attention_inputs(rng))
    value.requires_grad_()
    output = attend(value, locations[:, :0], weights[:, :0])
    assert output.shape == (2, 0, 12)
    output.sum().backward()
    assert torch.equal(value.grad, torch.zeros_like(value))


def test_attention_module_end_to_end(device: str, monkeypatch: pytest.MonkeyPatch, rng: torch.Generator) -> None:
    module = MultiScaleDeformableAttention(8, num_heads=2, num_levels=3, num_points=2, dropout=0.0).to(device)
    query, value = randn(5, 2, 8, rng=rng).float().to(device), randn(49, 2, 8, rng=rng).float().to(device)
    points = torch.rand(2, 5, 3, 2, generator=rng).to(device)
    arguments = {'value': value, 'reference_points': points, 'spatial_shapes': LEVELS, 'level_start_index': STARTS}
    arguments = {name: tensor.to(device) for name, tensor in arguments.items()}
    by_mmcv = module.cpu()(query.cpu(), **{name: tensor.cpu() for name, tensor in arguments.items()})
    # On CPU mmcv has a path of its own around the operator; the module is led through the operator all the same.
    monkeypatch.setattr(
        'mmcv.ops.multi_scale_deform_attn.multi_scale_deformable_attn_pytorch',
        lambda value, shapes, locations, weights: attend(value, locations, weights),
    )
    output = module.to(device)(query, **arguments)
    assert_close(output, by_mmcv.double())
    output.sum().backward()
    assert module.value_proj.weight.grad.any()
    assert module.sampling_offsets.weight.grad is not None


# The module itself


def test_an_operator_without_stand_in_raises_by_name() -> None:
    from mmcv import _ext
    from mmcv.ops import nms_rotated

    with pytest.raises(NotImplementedError, match=r"'nms_rotated' is not available.*mmcv>=2\.0\.0rc4,<2\.2"):
        nms_rotated(torch.zeros(1, 5), torch.zeros(1), 0.5)
    assert _ext.carafe_forward.__name__ == 'carafe_forward'
    for private in ('__path__', '__wrapped__', '_anything'):
        assert not hasattr(_ext, private)


def test_mmengine_takes_mmcv_for_complete_and_logs_who_compiled_it() -> None:
    from mmcv.utils import collect_env
    from mmengine.utils.dl_utils import mmcv_full_available

    assert mmcv_full_available()
    assert 'mmseq' in collect_env()['MMCV Compiler']


def run_python(code: str, **environment: str) -> str:
    """The output of `code` in a fresh interpreter, which must succeed."""
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_install_is_idempotent_and_loads_nothing() -> None:
    run_python(
        'import sys\n'
        'import mmseq\n'
        'from mmseq.compat import mmcv_ops\n'
        'mmcv_ops.install(); mmcv_ops.install()\n'
        'found = [type(finder).__name__ for finder in sys.meta_path]\n'
        'assert found.count("_StandInFinder") == 1 and found[-1] == "_StandInFinder", found\n'
        'loaded = {"torch", "torchvision", "mmcv", "numpy"} & set(sys.modules)\n'
        'assert not loaded, loaded\n'
    )


def test_mmdet_and_mmseg_models_import() -> None:
    output = run_python(
        'import mmseq\n'
        'from mmseq.compat import mmcv_ops\n'
        'mmcv_ops.install()\n'
        'import mmdet.models, mmseg.models\n'
        'print(mmdet.models.MaskRCNN.__name__, mmseg.models.UPerHead.__name__, mmcv_ops.provider())\n'
    )
    assert output.split() == ['MaskRCNN', 'UPerHead', 'stand-in']


@pytest.mark.parametrize('suffix', ['.py', '/__init__.py'])
def test_a_real_extension_wins(tmp_path: Path, suffix: str) -> None:
    module = tmp_path / f'_ext{suffix}'
    module.parent.mkdir(exist_ok=True)
    module.write_text('def nms(): return "compiled"\n')
    output = run_python(
        'from mmseq.compat import mmcv_ops\n'
        'mmcv_ops.install()\n'
        'import mmcv, os\n'
        'mmcv.__path__.append(os.environ["FOLDER"])\n'
        'before = mmcv_ops.provider()\n'
        'from mmcv import _ext\n'
        'print(_ext.nms(), before, mmcv_ops.provider())\n',
        FOLDER=str(tmp_path),
    )
    assert output.split() == ['compiled', 'compiled', 'compiled']


def test_without_mmcv_nothing_breaks() -> None:
    output = run_python(
        'import sys\n'
        'class Absent:\n'
        '    def find_spec(self, name, path=None, target=None):\n'
        '        if name == "mmcv":\n'
        '            raise ModuleNotFoundError("No module named mmcv", name=name)\n'
        'sys.meta_path.insert(0, Absent())\n'
        'from mmseq.compat import mmcv_ops\n'
        'mmcv_ops.install()\n'
        'print(mmcv_ops.provider())\n'
        'try:\n'
        '    import mmcv._ext\n'
        'except ModuleNotFoundError as error:\n'
        '    print(error.name)\n'
    )
    assert output.split() == ['None', 'mmcv']


def run_cases(out: Path, search_path: list[str]) -> dict[str, np.ndarray]:
    """The results of `mmcv_ops_cases.py` in a fresh interpreter with these folders first on its search path."""
    script = Path(__file__).with_name('mmcv_ops_cases.py')
    path = os.pathsep.join([*search_path, os.environ.get('PYTHONPATH', '')])
    command = [sys.executable, '-W', 'ignore', str(script), str(out)]
    subprocess.run(command, env={**os.environ, 'PYTHONPATH': path}, check=True)
    with np.load(out) as results:
        return dict(results)


def test_equals_compiled_mmcv(tmp_path: Path) -> None:
    folder = os.environ.get('MMSEQ_COMPILED_MMCV')
    if not folder:
        pytest.skip('MMSEQ_COMPILED_MMCV does not name a folder with a compiled mmcv')
    expected = run_cases(tmp_path / 'compiled.npz', [folder])
    actual = run_cases(tmp_path / 'stand_in.npz', [])
    assert (expected.pop('provider').item(), actual.pop('provider').item()) == ('compiled', 'stand-in')
    assert len(expected) > 50
    assert expected.keys() == actual.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(actual[name], value, atol=1e-4, rtol=1e-4, err_msg=name)

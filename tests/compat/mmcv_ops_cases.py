"""Run mmcv's operators on fixed random inputs and save every result: `python mmcv_ops_cases.py OUT.npz`.

Which `mmcv._ext` answers, a compiled one or the stand-in of mmseq, is decided by PYTHONPATH: compared are two runs.
Only operators that compiled mmcv has on CPU are here; cases are named `operator/settings/result`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import product

import numpy as np
import torch
from torch import Tensor

from mmseq.compat import mmcv_ops

Named = tuple[str, Tensor]


def random_boxes(rng: torch.Generator, count: int, size: float) -> Tensor:
    """Corners (count, 4) of boxes that begin anywhere in a square of `size` and overlap a lot."""
    corner = torch.rand(count, 2, generator=rng) * size
    return torch.cat([corner, corner + torch.rand(count, 2, generator=rng) * size * 0.6], dim=1)


def nms_cases(rng: torch.Generator) -> Iterator[Named]:
    from mmcv.ops import nms, nms_match, soft_nms

    for count, offset in product((0, 1, 300), (0, 1)):
        boxes, scores = random_boxes(rng, count, 60), torch.rand(count, generator=rng)
        for name, result in zip(('dets', 'kept'), nms(boxes, scores, 0.4, offset=offset)):
            yield f'nms/{count}-{offset}/{name}', result
        # Equal scores: their order is part of the result.
        rough = (scores * 8).round() / 8
        for method in ('naive', 'linear', 'gaussian'):
            results = soft_nms(boxes, rough, 0.3, sigma=0.5, min_score=0.05, method=method, offset=offset)
            for name, result in zip(('dets', 'kept'), results):
                yield f'soft_nms/{count}-{offset}-{method}/{name}', result
        groups = nms_match(torch.cat([boxes, scores[:, None]], dim=1), 0.4)
        yield f'nms_match/{count}-{offset}/groups', torch.cat([torch.tensor([], dtype=torch.long), *groups])
        yield f'nms_match/{count}-{offset}/sizes', torch.tensor([len(group) for group in groups])


def roi_align_cases(rng: torch.Generator) -> Iterator[Named]:
    from mmcv.ops import RoIAlign

    image = torch.randint(0, 2, (40, 1), generator=rng).float()
    rois = torch.cat([image, random_boxes(rng, 40, 100) - 12], dim=1)
    for ratio, aligned, mode in product((0, 2), (False, True), ('avg', 'max')):
        maps = torch.randn(2, 5, 13, 17, generator=rng).requires_grad_()
        out = RoIAlign((7, 5), 0.17, ratio, mode, aligned)(maps, rois)
        out.backward(torch.randn(out.shape, generator=rng))
        settings = f'{ratio}-{aligned}-{mode}'
        yield f'roi_align/{settings}/out', out
        yield f'roi_align/{settings}/grad', maps.grad


def deform_conv_cases(rng: torch.Generator) -> Iterator[Named]:
    from mmcv.ops import DeformConv2d, ModulatedDeformConv2d

    geometries = [
        {'kernel_size': 3, 'padding': 1},
        {
            'kernel_size': (3, 2),
            'stride': (2, 1),
            'padding': (1, 0),
            'dilation': (1, 2),
            'groups': 2,
            'deform_groups': 4,
        },
    ]
    for (index, geometry), kind in product(enumerate(geometries), (DeformConv2d, ModulatedDeformConv2d)):
        modulated = kind is ModulatedDeformConv2d
        conv = kind(8, 6, bias=modulated, **geometry)
        for parameter in conv.parameters():
            parameter.data = torch.randn(parameter.shape, generator=rng)
        points = conv.deform_groups * conv.weight.shape[2] * conv.weight.shape[3]
        size = (9, 11) if index == 0 else (5, 9)
        inputs = {
            'x': torch.randn(3, 8, 9, 11, generator=rng),
            'offset': torch.randn(3, 2 * points, *size, generator=rng),
        }
        inputs['offset'] *= 2
        if modulated:
            inputs['mask'] = torch.rand(3, points, *size, generator=rng)
        for tensor in inputs.values():
            tensor.requires_grad_()
        out = conv(*inputs.values())
        out.backward(torch.randn(out.shape, generator=rng))
        yield f'{kind.__name__}/{index}/out', out
        for name, tensor in [*inputs.items(), *conv.named_parameters()]:
            yield f'{kind.__name__}/{index}/grad_{name}', tensor.grad


def main() -> None:
    mmcv_ops.install()
    rng = torch.Generator().manual_seed(0)
    results = {'provider': np.array(mmcv_ops.provider())}
    for cases in (nms_cases, roi_align_cases, deform_conv_cases):
        results.update({name: value.detach().numpy() for name, value in cases(rng)})
    np.savez(sys.argv[1], **results)


if __name__ == '__main__':
    main()

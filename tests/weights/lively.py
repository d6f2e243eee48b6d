"""Random weights of any arch at the cost of one: every tensor is a piece of one long random vector."""

import functools
from pathlib import Path

import torch

from mmseq.checkpoints import FAMILIES
from mmseq.checkpoints.rules import restore
from mmseq.weights.arch_tables import arch_table, archs
from mmseq.weights.opened import Source

ARCHS = [(family, arch) for family in FAMILIES for arch in archs(family)]


@functools.cache
def table(family):
    return arch_table(family)


@functools.cache
def numbers(count):
    """Normal numbers, some of them so small or so large that 1 + w loses bits of them, and both zeros."""
    generator = torch.Generator().manual_seed(7)
    values = torch.empty(count).normal_(std=0.5, generator=generator)
    values[::97] *= 1e-6
    values[::101] = 0.0
    values[::103] = -0.0
    values[::107] *= 1e4
    values[::109] = 1e-40
    return values


def pieces(shapes):
    """A tensor per shape; each begins where the one before ends, and at the front again beyond the end."""
    pool, start, made = numbers(1 << 23), 0, {}
    for key, shape in shapes.items():
        count = torch.Size(shape).numel()
        start = start if start + count <= len(pool) else start % 4099
        made[key] = pool[start : start + count].reshape(shape)
        start += count
    return made


def ours(family, arch):
    """A backbone in our names, without norms that no publisher has."""
    shapes = {key: tensor.shape for key, tensor in table(family).tensors[arch].items()}
    last = max(key.split('.')[1] for key in shapes if key.startswith('norms.'))
    return pieces(
        {key: s for key, s in shapes.items() if not key.startswith('norms.') or key.startswith(f'norms.{last}.')}
    )


def foreign_layouts(family, arch):
    """The publishers' layouts that an arch can have."""
    tensors = ours(family, arch)
    return [layout for layout in FAMILIES[family].layouts[:-1] if not restore(tensors, layout).unexplained]


def published(family, arch, layout):
    """A publisher's file of an arch: names and shapes from the way back, numbers of its own, and a classifier."""
    names = restore(ours(family, arch), layout).tensors
    head = {key: torch.ones(2, 3) for key in HEADS[family, layout.name]}
    return pieces({key: tensor.shape for key, tensor in names.items()}) | head


HEADS = {
    ('sequencer2d', 'authors'): ['head.weight', 'head.bias'],
    ('sequencer2d', 'timm'): ['head.fc.weight', 'head.fc.bias'],
    ('vsequencer', 'authors'): ['head.weight', 'head.bias'],
    ('shiftvit', 'authors'): ['head.weight', 'head.bias'],
    ('vision_lstm', 'hub version 1'): ['head.1.weight', 'head.1.bias'],
    ('vision_lstm', 'hub version 2'): ['head.0.weight', 'head.0.bias', 'head.1.weight', 'head.1.bias'],
    ('vision_lstm', 'authors version 1'): ['head.weight', 'head.bias'],
    ('vision_lstm', 'authors version 2'): ['legacy_norm.weight', 'legacy_norm.bias', 'head.weight', 'head.bias'],
}


def source(family, layout, tensors, path='weights.pth'):
    """What opening a file with these tensors gives."""
    return Source(str(path), Path(path), 'no digest', '', FAMILIES[family], layout, tensors)

"""Classifiers from files of weights: whose they are, and every tensor accounted for."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch
from torch import Tensor

from mmseq.addresses import public
from mmseq.checkpoints.class_names import classes_of
from mmseq.checkpoints.compare import casts, compare
from mmseq.checkpoints.fetch import locate
from mmseq.checkpoints.load import Report
from mmseq.checkpoints.published import Published, published
from mmseq.checkpoints.resize import fit_geometry
from mmseq.checkpoints.rules import rename
from mmseq.checkpoints.storage import load_file, load_meta
from mmseq.checkpoints.wrappers import state_dict
from mmseq.classify.classifier import FAMILIES, Classifier, build_classifier, classifiers_names
from mmseq.errors import InputError
from mmseq.weights.arch_tables import arch_table
from mmseq.weights.fit import AS_ARCH, find_arch
from mmseq.weights.opened import open_source

HEAD = ('head.weight', 'head.bias')


@dataclass(frozen=True)
class Identified:
    """A classifier with its weights.

    Args:
        model: in evaluation mode.
        family: a name of ``FAMILIES``.
        arch: of its backbone.
        report: what became of every tensor.
        sha256: of the file.
        classes: what the file names, none if it names none.
        row: the published file that this is, or whose arch it has; None without one.
    """

    model: Classifier
    family: str
    arch: str
    report: Report
    sha256: str
    classes: tuple[str, ...]
    row: Published | None


def load_weights(model: Classifier, weights: str | os.PathLike[str], num_classes: int | None = None) -> Report:
    """Load a file of any known layout of the model's family, its classifier included.

    Args:
        model: gets the tensors, and a head for their classes.
        weights: a file or an address.
        num_classes: that the head is to have; None for the file's. Another number than the file's, or 0 for no head,
            leaves out the file's.

    Returns:
        The report, whose text says "N/N tensors" and names a head that begins anew.

    Raises:
        InputError: the file cannot be had, is of another family or arch, holds no classifier and none was asked for,
            or a tensor of it stays unexplained.
    """
    path, name = locate(weights), public(weights)
    tensors, note = state_dict(load_file(path), path)
    try:
        found = classifiers_names(tensors, model)
    except InputError as error:
        raise InputError(f'checkpoint {name}: {error}') from error
    has = found['head.weight'].shape[0] if 'head.weight' in found else 0
    wanted = has if num_classes is None else num_classes
    if not has and num_classes is None:
        advice = 'name weights that have one, such as those of mmseq pretrain; in Python num_classes makes a new one'
        raise InputError(f'checkpoint {name}: holds no classifier; {advice}')
    other = [] if wanted == has else list(HEAD)
    dropped = {key: 'classifier of other classes' for key in other if found.pop(key, None) is not None}
    fresh = other if wanted else []
    model.reset_classifier(wanted)
    layout = model.backbone.key_tables().find_layout(tensors)
    cast, adapted = fill(model, found, name, fresh)
    source = f'{os.path.basename(name)}{f" [{note}]" if note else ""}'
    return Report(source, layout.name if layout else 'classifier', len(found), dropped, fresh, adapted, cast)


def fill(model: Classifier, found: dict[str, Tensor], name: str, fresh: list[str]) -> tuple[str, dict[str, str]]:
    """Copy tensors of the model's names into it; tells which types of number and which sizes changed on the way.

    Raises:
        InputError: they are not the model's; nothing is copied then.
    """
    own = model.state_dict()
    shapes = {key: tuple(tensor.shape) for key, tensor in own.items()}
    backbone = model.backbone
    position = f'backbone.{backbone.position}' if backbone.position else None
    adapted = fit_geometry(found, shapes, f'backbone.{backbone.input_conv}', position, backbone.native_patch)
    problems = compare(found, own, fresh)
    if problems:
        raise InputError(
            f'checkpoint {name} does not fit this classifier over {backbone.family}; nothing was loaded. {problems}'
        )
    cast = casts(found, own)
    with torch.no_grad():
        for key, tensor in found.items():
            own[key].copy_(tensor)
    return cast, adapted


def identify(weights: str) -> Identified:
    """The classifier that a file of weights is of.

    Args:
        weights: a file, an address, or the name of published weights, such as ``sequencer2d_s``.

    Raises:
        InputError: as :func:`load_weights`, or it is of no known arch.
    """
    address = next((row.address for row in published() if row.name == weights), weights)
    source = open_source(address)
    fit = find_arch(source, rename(source.tensors, source.layout), arch_table(source.family.name), None, AS_ARCH)
    family = next(name for name, cls in FAMILIES.items() if cls.family == source.family.name)
    row = published_row(address, source.family.name, fit.arch)
    options: dict[str, Any] = dict(row.options) if row else {}
    model = build_classifier(family, fit.arch, **options).eval()
    report = load_weights(model, address)
    return Identified(model, family, fit.arch, report, source.sha256, classes_of({'meta': load_meta(source.path)}), row)


def published_row(address: str, family: str, arch: str) -> Published | None:
    """The published file that has this address, or this name and arch, else the arch's first without options."""
    rows = [row for row in published() if row.family == family and row.arch == arch]
    file = Path(urlparse(address).path).name
    same = (row for row in rows if row.address == address or Path(urlparse(row.address).path).name == file)
    return next(same, next((row for row in rows if not row.options), None))

"""A checkpoint whose family and layout are known."""

import os
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from mmseq.addresses import public
from mmseq.checkpoints.digest import file_sha256
from mmseq.checkpoints.fetch import locate
from mmseq.checkpoints.load import FAMILIES, describe
from mmseq.checkpoints.rules import Family, Layout
from mmseq.checkpoints.storage import load_file
from mmseq.checkpoints.wrappers import unwrap
from mmseq.errors import InputError


@dataclass
class Source:
    """A checkpoint as it was found."""

    name: str
    path: Path
    sha256: str
    note: str
    family: Family
    layout: Layout
    tensors: dict[str, Tensor]

    @property
    def title(self) -> str:
        """An address without secrets; of a file only its name, since its folders are private."""
        return public(self.name) if '://' in self.name else self.path.name


def open_source(name: str | os.PathLike[str], ema: bool = False) -> Source:
    """Open a checkpoint safely and find its family and layout.

    Args:
        name: a file or an address.
        ema: take the moving average of the weights.

    Raises:
        InputError: it cannot be had, is unsafe or damaged, or is of no known family.
    """
    path = locate(name)
    tensors, note = unwrap(load_file(path), path, ema)
    for family in FAMILIES.values():
        layout = family.find_layout(tensors)
        if layout:
            return Source(os.fspath(name), path, file_sha256(path), note, family, layout, tensors)
    raise InputError(
        f'checkpoint {public(name)}: is of no known family: {describe(tensors)}; known are {", ".join(FAMILIES)}'
    )

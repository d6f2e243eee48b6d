"""The address table of published weights: `weights.json`, one row per file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

UNKNOWN = 'unknown'


@dataclass(frozen=True)
class Published:
    """One published file.

    Args:
        name: short and unique, for tables.
        family: the key of the family's table in ``mmseq.checkpoints.FAMILIES``.
        arch: the backbone's ``arch``.
        address: where it is, as ``init_cfg`` takes it.
        layout: how its tensors are named, a layout of the family.
        sha256: of the file, or ``unknown`` as long as nobody who keeps this table has seen the file.
        licence: of the repository that publishes it.
        reported_top1: ImageNet-1k top-1 in percent, reported by the authors and not checked by us.
        options: what the backbone needs beside ``arch``.
        notes: what else is to be known.
    """

    name: str
    family: str
    arch: str
    address: str
    layout: str
    sha256: str
    licence: str
    reported_top1: float | None
    options: Mapping[str, int] = field(default_factory=dict)
    notes: str = ''


@lru_cache(maxsize=1)
def published() -> tuple[Published, ...]:
    """All rows, in the file's order."""
    rows = json.loads(Path(__file__).with_name('weights.json').read_text(encoding='utf-8'))
    return tuple(Published(**row) for row in rows)


def find_published(address: str) -> Published | None:
    """The row of an address, if it is in the table."""
    return next((row for row in published() if row.address == address), None)

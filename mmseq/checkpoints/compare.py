"""What keeps a state dict from being a model's weights, by name and in words."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from torch import Tensor

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
WHOLE = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


@dataclass
class Differences:
    """The keys on which a state dict and a model do not meet.

    Attributes:
        foreign: in the file only.
        missing: in the model only.
        misshapen: in both, with another shape; key to "key (2, 3) instead of (3, 2)".
        other_kind: in both, with whole numbers on one side and fractions on the other.
        not_finite: in both, with infinities or NaN in the file.
        beyond: in both, finite in the file, but beyond what the model's type of number holds.
    """

    foreign: list[str]
    missing: list[str]
    misshapen: dict[str, str]
    other_kind: list[str]
    not_finite: list[str]
    beyond: list[str]

    def __bool__(self) -> bool:
        return any(vars(self).values())

    def __str__(self) -> str:
        lists = {
            'in the file only': self.foreign,
            'in the model only': self.missing,
            'of another shape': list(self.misshapen.values()),
            'of another kind of number': self.other_kind,
            'not finite': self.not_finite,
            "beyond the model's type of number": self.beyond,
        }
        return '; '.join(f'{len(keys)} tensors {what}: {shorten(keys)}' for what, keys in lists.items() if keys)

    def permit(self, patterns: Iterable[str]) -> list[str]:
        """Take out and return the keys that match one of the shell patterns; no pattern permits bad numbers."""
        patterns = list(patterns)
        allowed = [
            key
            for key in (*self.missing, *self.misshapen, *self.other_kind, *self.foreign)
            if any(fnmatchcase(key, pattern) for pattern in patterns)
        ]
        self.foreign, self.missing, self.other_kind = (
            [key for key in keys if key not in allowed] for keys in (self.foreign, self.missing, self.other_kind)
        )
        self.misshapen = {key: text for key, text in self.misshapen.items() if key not in allowed}
        return allowed


def compare(
    found: Mapping[str, Tensor], own: Mapping[str, Tensor], fresh: Iterable[str] = (), numbers: bool = True
) -> Differences:
    """Compare a state dict with a model's.

    Args:
        found: what a file holds, in the model's names.
        own: the model's own; tensors on the meta device will do.
        fresh: keys that the file may lack.
        numbers: look also at the numbers themselves, whether they are finite, also in the model's type.
    """
    fresh = set(fresh)
    shared = [key for key in own if key in found]
    fitting = [key for key in shared if found[key].shape == own[key].shape]
    kinds = [key for key in fitting if (found[key].dtype in FLOATS) != (own[key].dtype in FLOATS)]
    # Only what has the model's size is looked at: a file can claim any.
    bad = [key for key in fitting if numbers and not is_finite(found[key])]
    return Differences(
        foreign=[key for key in found if key not in own],
        missing=[key for key in own if key not in found and key not in fresh],
        misshapen={
            key: f'{key} {tuple(found[key].shape)} instead of {tuple(own[key].shape)}'
            for key in shared
            if found[key].shape != own[key].shape
        },
        other_kind=kinds,
        not_finite=bad,
        beyond=[
            key for key in fitting if numbers and key not in {*bad, *kinds} and not holds(own[key].dtype, found[key])
        ],
    )


def is_finite(tensor: Tensor) -> bool:
    """Whether all numbers are; whole numbers always are."""
    if tensor.dtype not in FLOATS or not tensor.numel():
        return True
    # One pass and no memory, in contrast to isfinite: NaN is both the least and the greatest.
    return all(math.isfinite(bound) for bound in tensor.aminmax())


def holds(dtype: torch.dtype, tensor: Tensor) -> bool:
    """Whether a dtype can represent all numbers of a tensor, which is finite and of the same kind."""
    if tensor.dtype == dtype or not tensor.numel():
        return True
    # torch finds no extremes of bool.
    wide = tensor.double() if tensor.dtype in FLOATS else tensor.long()
    bounds = torch.stack(wide.aminmax())
    cast = bounds.to(dtype)
    return bool(cast.isfinite().all()) if dtype in FLOATS else torch.equal(cast.long(), bounds)


def casts(found: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> str:
    """Which types of number change in loading: "146 tensors cast from float64 to float32"; empty if none does."""
    pairs = Counter((found[key].dtype, own[key].dtype) for key in own if key in found)
    changed = {pair: count for pair, count in pairs.items() if pair[0] != pair[1]}
    return '; '.join(
        f'{count} tensors cast from {_short(old)} to {_short(new)}' for (old, new), count in changed.items()
    )


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix('torch.')


def shorten(keys: Iterable[str], most: int = 8) -> str:
    """The first keys, and how many more."""
    keys = list(keys)
    return ', '.join(keys[:most]) + (f', and {len(keys) - most} more' if len(keys) > most else '')

"""The classes of a checkpoint compared with those of a config: tensors alone fit with any names."""

from collections.abc import Mapping, Sequence
from typing import Any


def classes_of(checkpoint: Any) -> tuple[str, ...]:
    """The classes that a checkpoint of a run names, in the order of its outputs; none if it names none."""
    meta = checkpoint.get('meta') if isinstance(checkpoint, Mapping) else None
    meta = meta if isinstance(meta, Mapping) else {}
    described = meta.get('dataset_meta')
    described = described if isinstance(described, Mapping) else {}
    # mmdet 2 and mmseg 0 wrote them in capitals.
    return names(described.get('classes') or described.get('CLASSES') or meta.get('CLASSES'))


def names(classes: Any) -> tuple[str, ...]:
    """Class names as a tuple; empty for anything but a list of names, such as the name of a file."""
    return tuple(map(str, classes)) if isinstance(classes, (list, tuple)) else ()


def exchanged(saved: Sequence[str], own: Sequence[str]) -> bool:
    """Whether a common class has different places in them: figures would have wrong names."""
    places = {name: place for place, name in enumerate(own)}
    return any(places.get(name, place) != place for place, name in enumerate(saved))


def difference(saved: Sequence[str], own: Sequence[str]) -> str:
    """How many names differ, with the first; empty if none does or one side names none."""
    if not saved or not own:
        return ''
    differing = [place for place, pair in enumerate(zip(saved, own)) if pair[0] != pair[1]]
    if differing:
        first = differing[0]
        return (
            f'{len(differing)} of its {len(saved)} classes have another name here, first class {first}: '
            f'{saved[first]!r} in the checkpoint, {own[first]!r} in the config'
        )
    return '' if len(saved) == len(own) else f'it has {len(saved)} classes and the config {len(own)}'

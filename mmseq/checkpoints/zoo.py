"""The weights that ship with the package: ``mmseq/zoo``, which holds data alone.

    NAME.safetensors    the weights of a backbone
    NAME.json           their card: what is known of them, the fields of :class:`Shipped`

The index is the cards that are there. ``mmseq://NAME`` names the weights wherever a checkpoint is named, and so does
NAME alone where there is no such file.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from mmseq.checkpoints.digest import file_sha256
from mmseq.errors import InputError

FOLDER = Path(__file__).parents[1] / 'zoo'
SCHEME = 'mmseq'


@dataclass(frozen=True)
class Shipped:
    """One card.

    Args:
        name: of the weights.
        family: of the backbone, as in ``mmseq.checkpoints.FAMILIES``; ``timm`` for one of timm's.
        arch: the backbone's ``arch``, or its name in timm.
        data: what it was pretrained on.
        data_licence: on what terms these data are to be had.
        command: that repeats the pretraining.
        epochs: of it.
        image_size: side of the images in pixels.
        top1: of the classifier on the validation images, in percent.
        top5: the same, of the five likeliest classes.
        hours: that the iterations took.
        parameters: of the backbone.
        dtype: of the numbers in the file.
        sha256: of the file.
        mmseq: version that trained it.
    """

    name: str
    family: str
    arch: str
    data: str
    data_licence: str
    command: str
    epochs: int
    image_size: int
    top1: float
    top5: float
    hours: float
    parameters: int
    dtype: str
    sha256: str
    mmseq: str

    @property
    def address(self) -> str:
        """As ``init_cfg`` takes it."""
        return f'{SCHEME}://{self.name}'

    @property
    def file(self) -> Path:
        """The weights."""
        return FOLDER / f'{self.name}.safetensors'


def shipped() -> tuple[Shipped, ...]:
    """All cards, by name."""
    return tuple(
        Shipped(name=path.stem, **json.loads(path.read_text(encoding='utf-8')))
        for path in sorted(FOLDER.glob('*.json'))
    )


def find_shipped(family: str, arch: str) -> Shipped | None:
    """The card of a backbone's weights, if there are any."""
    return next((card for card in shipped() if (card.family, card.arch) == (family, arch)), None)


def is_shipped(name: str) -> bool:
    """Whether a name or an address is of weights that ship."""
    return any(name in (card.name, card.address) for card in shipped())


def shipped_file(name: str) -> Path:
    """The file of weights that ship, by their name.

    Raises:
        InputError: none ship under this name, or the file is not the one of its card.
    """
    cards = {card.name: card for card in shipped()}
    if name not in cards:
        known = f'those that do are {", ".join(cards)}' if cards else 'none do'
        raise InputError(f'checkpoint {SCHEME}://{name}: no such weights ship with mmseq; {known}')
    card = cards[name]
    found = file_sha256(card.file) if card.file.is_file() else 'no file'
    if found != card.sha256:
        raise InputError(
            f'checkpoint {card.address}: {card.file} is damaged: expected sha256 {card.sha256}, found {found}; '
            'install mmseq again'
        )
    return card.file

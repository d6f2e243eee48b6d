"""What ``--data``, ``--epochs`` and ``--image-size`` ask of a config; made when it is read, before its options."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from mmengine.config import Config

from mmseq.datasets.own.card import Card, read_card
from mmseq.engine.own.classes import set_classes
from mmseq.engine.own.data import drop_variables, put_data
from mmseq.engine.own.default import Choice, choose_config
from mmseq.engine.own.image_size import config_size, fitting_size, set_image_size
from mmseq.engine.own.recipe import derive, set_epochs
from mmseq.engine.own.task import check_task
from mmseq.errors import InputError
from mmseq.ranks import world_size

# What the name of a folder had better not have.
NO_NAME = r'[^\w.-]+'


class ConfigChange(Protocol):
    """What is changed in a config between its file and its options, and what is told of that."""

    def config(self, given: str | None) -> str:
        """The config that is changed, where one or none is given."""

    def notes(self, config: str) -> list[str]:
        """Lines for the log, once it is changed."""

    def __call__(self, cfg: Config, options: Mapping[str, Any]) -> None:
        """Change it."""


@dataclass
class OwnData:
    """A change of a config: own data in it, another length, another image size.

    Args:
        path: of a data card; None leaves the config's own data.
        epochs: of the run; None: as derived from the card, or as the config says.
        image_size: side of a segmentor's crop, or shorter side of a detector's images, in pixels; None: the same.
        load_from: a whole model's weights that training begins with.
        choice: the config that was chosen here, since none was given.
        lines: what was derived from the data, once the config is changed.
    """

    path: str | None = None
    epochs: int | None = None
    image_size: int | None = None
    load_from: str | None = None
    choice: Choice | None = None
    lines: list[str] = field(default_factory=list)

    def config(self, given: str | None) -> str:
        """The config that is given, or one for the data of the card.

        Raises:
            InputError: neither is given, or the card cannot be read.
        """
        self.choice = None
        if given is not None:
            return given
        if self.path is None:
            raise InputError('no config: give one (mmseq configs lists them), or data of your own with --data CARD')
        self.choice = choose_config(read_card(self.path))
        return self.choice.config

    def notes(self, config: str) -> list[str]:
        """Lines for the log on a changed config: its name, and the settings that follow from the data."""
        if self.path is None:
            return []
        chosen = [f'chosen: {self.choice.reason}; name another config to take it'] if self.choice else []
        return [f'{config} on the data of {self.path}', *chosen, *(f'from the data: {line}' for line in self.lines)]

    def __call__(self, cfg: Config, options: Mapping[str, Any]) -> None:
        """Change a config as it was read from its file; ``options`` will override it and are heeded.

        Raises:
            InputError: the card cannot be read, or its task is not the config's.
        """
        self.lines.clear()
        card = read_card(self.path) if self.path is not None else None
        if card is not None:
            self.put(card, cfg)
        if self.image_size is not None:
            set_image_size(cfg, self.image_size)
        if card is not None:
            self.lines += derive(cfg, options, world_size(), self.epochs, bool(self.load_from), self.choice is not None)
        elif self.epochs is not None:
            set_epochs(cfg, options, world_size(), self.epochs)

    def put(self, card: Card, cfg: Config) -> None:
        """Own data, classes and image size in place of the config's."""
        assert self.path is not None
        check_task(cfg, card, self.path)
        put_data(cfg, card)
        set_classes(cfg, len(card.classes))
        if self.image_size is None and (fitting := fitting_size(cfg, card)):
            self.lines.append(f'image size {fitting} in the place of {config_size(cfg)}, from the sizes of the images')
            set_image_size(cfg, fitting)
        drop_variables(cfg)
        if not cfg.get('work_dir'):
            cfg.work_dir = str(Path('work_dirs') / f'{Path(cfg.filename).stem}_{re.sub(NO_NAME, "_", card.name)}')

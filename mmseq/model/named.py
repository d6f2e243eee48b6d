"""The words by which a command or a program names a trained model: its config and its checkpoint, or one for both."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmengine.logging import print_log

from mmseq.addresses import public
from mmseq.checkpoints.fetch import is_checkpoint
from mmseq.checkpoints.folder import choose_checkpoint
from mmseq.config import config_file
from mmseq.errors import InputError
from mmseq.ranks import is_first_process

NEEDED = 'expected WORK_DIR, CHECKPOINT or CONFIG CHECKPOINT'


@dataclass(frozen=True)
class Named:
    """A model, as :func:`mmseq.model.trained.load_trained` takes it.

    Args:
        config: that :func:`mmseq.config.read_config` takes: a file, ``mmseq::NAME``, or what carries a config.
        checkpoint: a file or an address; None where a config alone was named.
    """

    config: str
    checkpoint: str | None

    @property
    def title(self) -> str:
        """For pages and plots."""
        return title_of(self.config)

    @property
    def trained(self) -> str:
        """The checkpoint.

        Raises:
            InputError: there is none.
        """
        if self.checkpoint is None:
            raise InputError(
                f'{self.config}: is a config, and its checkpoint must follow; {NEEDED}. A work dir and a '
                'checkpoint of ours bring their config with them'
            )
        return self.checkpoint


def title_of(config: str) -> str:
    """The name of a config without folder and suffix, or of what carries it."""
    name = Path(public(config))
    return name.resolve().name if name.is_dir() else name.stem


def find_model(words: Sequence[str]) -> tuple[Named, list[str]]:
    """The model that the first word names, or the first two, and the words that are left.

    - ``WORK_DIR``: the config of its newest training, and its best checkpoint or else its last one
    - ``WORK_DIR CHECKPOINT``: another one of them
    - ``CHECKPOINT``, a file or an address: with the config that it carries
    - ``FOLDER`` of a published model
    - ``CONFIG CHECKPOINT``, where the checkpoint may be a folder, too

    Raises:
        InputError: no word, no such config, or a folder without a checkpoint.
    """
    if not words:
        raise InputError(f'no model is named; {NEEDED}')
    first, *rest = words
    if is_checkpoint(first):
        return Named(first, first), rest
    if not Path(first).is_dir():
        config_file(first)
        return Named(first, chosen(rest[0]) if rest else None), rest[1:]
    if rest and is_checkpoint(rest[0]):
        return Named(first, rest[0]), rest[1:]
    return Named(first, chosen(first)), rest


def chosen(name: str) -> str:
    """A checkpoint by its name; of a folder the file that is taken, which is logged.

    Raises:
        InputError: the folder has none.
    """
    if not Path(name).is_dir():
        return name
    path, which = choose_checkpoint(Path(name))
    if is_first_process():
        print_log(f'{name}: {path.name}, {which}', 'current')
    return str(path)

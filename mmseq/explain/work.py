"""What a process is doing, for messages about its failure."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mmseq.compat import shipped_configs

if TYPE_CHECKING:
    from mmengine.config import Config


@dataclass(frozen=True)
class Work:
    """What is done with which config.

    Args:
        what: ``training``, ``evaluation`` or ``inference``.
        config: path of the config; empty where there is none.
        cfg: the config, or an empty dict.
    """

    what: Literal['training', 'evaluation', 'inference']
    config: str
    cfg: Any

    def say(self, text: str) -> str:
        """A sentence with the config that it is about."""
        return f'config {self.config}: {text}' if self.config else text

    @property
    def tree(self) -> dict[str, Any]:
        """The config as nested dicts."""
        return getattr(self.cfg, '_cfg_dict', self.cfg)

    @property
    def scope(self) -> str:
        """Whose types need no prefix."""
        return self.get('default_scope') or 'mmengine'

    def inherits(self, word: str) -> bool:
        """Whether the config's own file does not say a word, so that it came from elsewhere."""
        path = Path(self.config)
        # A checkpoint that carries its config is no text.
        if path.suffix not in ('.py', '.json', '.yaml', '.yml') or not path.is_file():
            return False
        return word not in path.read_text(encoding='utf-8', errors='replace')

    def get(self, key: str) -> Any:
        """The entry of the config at a dotted key; None if there is none."""
        node = self.cfg
        for part in key.split('.'):
            node = node.get(part) if hasattr(node, 'get') else None
        return node


def inference(cfg: 'Config') -> Work:
    """The inference with a config, which is named as it was asked for."""
    return Work('inference', shipped_configs.name_of(getattr(cfg, 'filename', None) or ''), cfg)


NO_CONFIG = Work('inference', '', {})
"""What a command does whose config has not been read yet, or that has none."""

"""What to do about data that are not where a config looks for them."""

import os
from typing import Any

VARIABLE = 'MMSEQ_DATA'


def advice(cfg: Any, place: str | os.PathLike[str]) -> str:
    """What to do about data that are not there: ``MMSEQ_DATA`` moves what is below it in configs that read it alone.

    Args:
        cfg: the config, with the text of its files, or what is left of one.
        place: the folder or file that is not there.
    """
    moved = f'${VARIABLE}' in (getattr(cfg, 'text', None) or '')
    below = os.path.normpath(place).startswith(os.path.normpath(os.environ.get(VARIABLE, 'data')))
    where = f'set {VARIABLE} to its parent' if moved and below else "set the data_root of the config's data sets"
    return f'put the data there or {where}'

"""Figures of the fault tests, written down where MMSEQ_RESULTS names a file."""

import json
import os
from pathlib import Path
from typing import Any

from mmseq.files import write_json


def record(case: str, figure: Any) -> None:
    """Put one figure into the file, beside those that are there."""
    if path := os.environ.get('MMSEQ_RESULTS'):
        content = json.loads(Path(path).read_text()) if Path(path).exists() else {}
        write_json(path, content | {case: figure})

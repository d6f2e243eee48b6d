"""What a start has finished, so that the next one goes on: a line for each source, beside the files that it names."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mmseq.files import append_json_line, jsonable
from mmseq.predict.coco_results import Found

NAME = 'finished.jsonl'
# Entries of a row that name files.
WRITTEN = ('overlay', 'map', 'panoptic')
Entry = list[tuple[dict[str, Any], Found]]
"""Of each image or frame of a source its row of the summary, and what COCO's files hold of it."""


class Journal:
    """Lines of JSON: the identity of the work, then the finished sources.

    A source counts as finished while the file is as it was then, and all that was written of it is there.

    Args:
        folder: of the results.
        identity: what results depend on beside the sources, in JSON's types; a journal of another one is begun anew.
        anew: begin anew in any case.
    """

    def __init__(self, folder: Path, identity: dict[str, Any], anew: bool = False) -> None:
        self.folder, self.path = folder, folder / NAME
        lines = read_lines(self.path)
        if anew or not lines or lines[0] != identity:
            self.remove()
            lines = []
        # The last line of a name counts.
        self._lines = {line['name']: line for line in lines[1:] if self._is_sound(line)}
        self._identity = identity

    def __len__(self) -> int:
        return len(self._lines)

    def entries(self) -> Iterator[Entry]:
        """What earlier starts have finished."""
        for line in self._lines.values():
            yield [(one['row'], Found(**one['found'])) for one in line['images']]

    def has(self, source: str, name: str) -> bool:
        """Whether an earlier start has finished a source whose results have this name."""
        return name in self._lines and self._lines[name]['source'] == source

    def add(self, source: str, name: str, entry: Sequence[tuple[dict[str, Any], Found]]) -> None:
        """Note a finished source, and the name of its results."""
        if not self.path.exists():
            append_json_line(self.path, self._identity)
        images = [dict(row=row, found=asdict(found)) for row, found in entry]
        append_json_line(self.path, dict(name=name, source=source, stamp=stamp(source), images=images))

    def remove(self) -> None:
        """Begin anew."""
        self.path.unlink(missing_ok=True)

    def _is_sound(self, line: dict[str, Any]) -> bool:
        rows = [one['row'] for one in line['images']]
        names = {row[key] for row in rows for key in WRITTEN if key in row}
        return line['stamp'] == stamp(line['source']) and all((self.folder / name).is_file() for name in names)


def stamp(source: str) -> list[int] | None:
    """What changes when a file does: its bytes and the time of its last change; None if it is not there."""
    try:
        found = Path(source).stat()
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns]


def read_lines(path: Path) -> list[Any]:
    """The lines of a file that are whole; a kill may have torn the last."""
    lines = []
    for line in path.read_bytes().splitlines() if path.exists() else ():
        try:
            lines.append(json.loads(line))
        except ValueError:
            continue
    return lines


def identity_of(about: dict[str, Any], files: Sequence[str | None]) -> dict[str, Any]:
    """What results depend on, as a journal takes it: options, and model files as they are now."""
    stamps = {name: stamp(name) for name in files if name}
    found: dict[str, Any] = jsonable(dict(about, files=stamps))
    return found

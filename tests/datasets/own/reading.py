"""Small sources, and what an import makes of them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mmseq.datasets.own.card import Card
from mmseq.datasets.own.importing import import_data

SIZE = (40, 60)


def picture(path: Path, seed: int = 0, size: tuple[int, int] = SIZE, **options: Any) -> Path:
    """A picture of noise, (height, width), another for each seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (*size, 3), np.uint8)).save(path, **options)
    return path


def pictures(folder: Path, *names: str) -> None:
    for seed, name in enumerate(names):
        picture(folder / name, seed)


def write(path: Path, text: str | dict) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text if isinstance(text, str) else json.dumps(text))
    return path


def imported(folder: Path, **options: Any) -> tuple[Card, dict[str, list[tuple[str, list[float]]]], str]:
    """The card, class and box (left, top, width, height) of the objects by the image's name, and all that was told."""
    told: list[str] = []
    card = import_data(folder, folder.parent / 'out', tell=told.append, overwrite=True, **options)
    found: dict[str, list[tuple[str, list[float]]]] = {}
    for part in card.parts.values() if card.task != 'semantic' else ():
        content = json.loads(part.labels.read_text())
        names = {row['id']: row['name'] for row in content['categories']}
        images = {row['id']: row['file_name'] for row in content['images']}
        found |= {name: [] for name in images.values()}
        for row in content['annotations']:
            found[images[row['image_id']]].append((names[row['category_id']], row['bbox']))
    return card, found, '\n'.join(told)


def rows_of(card: Card) -> list[dict[str, Any]]:
    """All annotations of a card."""
    return [row for part in card.parts.values() for row in json.loads(part.labels.read_text())['annotations']]


def maps_of(card: Card) -> dict[str, np.ndarray]:
    """Label maps by the name of their image."""
    paths = [path for part in card.parts.values() for path in part.labels.rglob('*.png')]
    return {path.stem: np.asarray(Image.open(path)) for path in paths}

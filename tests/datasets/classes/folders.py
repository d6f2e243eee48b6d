"""Tiny images of classes that a few steps can tell apart: each class has a colour of its own."""

from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = ((220, 40, 40), (40, 200, 60), (50, 60, 220), (210, 200, 40))


def picture(label: int, number: int, size: tuple[int, int] = (40, 36)) -> Image.Image:
    """An image of a class: its colour with noise."""
    noise = np.random.default_rng(1000 * label + number).normal(0, 20, (size[1], size[0], 3))
    return Image.fromarray(np.clip(np.array(COLOURS[label]) + noise, 0, 255).astype(np.uint8))


def write(
    folder: Path, labels: list[int], name: str = '{label}_{number}.png', size: tuple[int, int] = (40, 36)
) -> None:
    """An image for each label into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, label in enumerate(labels):
        picture(label, number, size).save(folder / name.format(label=label, number=number))


def class_folders(root: Path, classes: int = 3, train: int = 8, val: int = 4, images: str = '') -> Path:
    """``root/train/c0/*.png`` and ``root/val/c0/*.png``."""
    for label in range(classes):
        write(root / 'train' / f'c{label}' / images, [label] * train)
        write(root / 'val' / f'c{label}', [label] * val)
    return root

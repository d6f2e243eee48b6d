"""What weights are worth: top-1 and top-5 over labelled images at several sizes, and ImageNet-C's corruption error."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mmseq.classify.classes import Classes
from mmseq.classify.labelled import SEVERITIES, read_folders
from mmseq.classify.pixels import USUAL_SIZE, Pixels
from mmseq.datasets.classes.listing import Images
from mmseq.errors import InputError

TOP = 5
# AlexNet's mean error over the severities of each corruption, by which errors are divided (arXiv 1903.12261).
ALEXNET = {
    'gaussian_noise': 0.886428,
    'shot_noise': 0.894468,
    'impulse_noise': 0.922640,
    'defocus_blur': 0.819880,
    'glass_blur': 0.826268,
    'motion_blur': 0.785948,
    'zoom_blur': 0.798360,
    'snow': 0.866816,
    'frost': 0.826572,
    'fog': 0.819324,
    'brightness': 0.564592,
    'contrast': 0.853204,
    'elastic_transform': 0.646056,
    'pixelate': 0.717840,
    'jpeg_compression': 0.606500,
}
Said = Callable[[str], object]


@dataclass(frozen=True)
class Way:
    """How a model is run.

    Args:
        device: where.
        batch: images at a time.
        threads: that read images.
        said: is told of progress.
    """

    device: torch.device
    batch: int = 32
    threads: int = 4
    said: Said | None = None


def logits(model: nn.Module, paths: Sequence[str], pixels: Pixels, way: Way) -> Tensor:
    """(N, K) of N files, on the CPU.

    Raises:
        InputError: a file is no image; it says which.
    """
    model = model.to(way.device).eval()
    found: list[Tensor] = []
    with torch.inference_mode():
        for images in pixels.batches(paths, way.batch, way.threads):
            found.append(model(images.to(way.device)).float().cpu())
            if way.said:
                way.said(f'{sum(map(len, found))} of {len(paths)} images')
    return torch.cat(found)


def top(scores: Tensor, classes: Classes) -> list[list[dict[str, Any]]]:
    """The likeliest classes of each image, with their probabilities: (N, K) to N lists of five at most."""
    values, places = scores.softmax(1).topk(min(TOP, scores.shape[1]))
    return [
        [dict(name=classes.names[place], place=place, probability=value) for value, place in zip(*row)]
        for row in zip(values.tolist(), places.tolist())
    ]


def accuracy(scores: Tensor, labels: Sequence[int]) -> dict[str, float]:
    """Percent of images whose class is the likeliest, and among the five likeliest: (N, K) and N numbers."""
    best = scores.topk(min(TOP, scores.shape[1]), 1).indices
    right = best == torch.tensor(labels)[:, None]
    return dict(top1=100 * float(right[:, 0].double().mean()), top5=100 * float(right.any(1).double().mean()))


def sweep(model: nn.Module, data: Images, sizes: Sequence[int], crop: float, way: Way) -> list[dict[str, Any]]:
    """Accuracy at each size of images, in the order of the sizes."""
    return [
        dict(image_size=size, crop=crop, images=len(data.paths))
        | accuracy(logits(model, data.paths, Pixels(size, crop), way), data.labels)
        for size in sizes
    ]


def corruptions(
    model: nn.Module, root: Path, classes: Classes, way: Way, size: int = USUAL_SIZE, crop: float = 1.0
) -> dict[str, Any]:
    """ImageNet-C's errors, from ``root/CORRUPTION/SEVERITY/CLASS/IMAGE``, whose images are crops of 224 px already.

    Returns:
        Per corruption the error at each severity, their mean and that over AlexNet's (CE), in percent; the means of
        both over the 15 corruptions (mCE), None if some are absent; and the absent ones. Folders of other corruptions
        get errors without CE.

    Raises:
        InputError: a severity is absent, or a folder of a class.
    """
    rows: dict[str, dict[str, Any]] = {}
    for folder in sorted(item for item in root.iterdir() if item.is_dir()):
        errors = [error_at(model, folder / severity, classes, way, Pixels(size, crop)) for severity in SEVERITIES]
        mean, reference = statistics.fmean(errors), ALEXNET.get(folder.name)
        rows[folder.name] = dict(errors=errors, mean=mean, ce=mean / reference if reference else None)
    absent = [name for name in ALEXNET if name not in rows]
    means = [statistics.fmean(rows[name][key] for name in ALEXNET) for key in ('ce', 'mean')] if not absent else []
    mce, unnormalised = means or (None, None)
    return dict(corruptions=rows, mce=mce, mean_error=unnormalised, absent=absent, image_size=size)


def error_at(model: nn.Module, folder: Path, classes: Classes, way: Way, pixels: Pixels) -> float:
    """Percent of the images of a severity that are not recognised."""
    if not folder.is_dir():
        raise InputError(f'{folder}: no such folder; expected severities 1 to 5 of each corruption')
    data = read_folders(folder, classes)
    if way.said:
        way.said(f'{folder.parent.name}, severity {folder.name}')
    return 100 - accuracy(logits(model, data.paths, pixels, way), data.labels)['top1']

"""Images of one size as a model's backbone takes them: of a config's test data, of files, or noise."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import DATASETS, DefaultScope
from torch import Tensor
from torch.nn import functional as F

from mmseq.datasets.data_root import advice
from mmseq.datasets.nesting import loader_datasets
from mmseq.errors import InputError
from mmseq.measure.throughput import samples

if TYPE_CHECKING:
    from mmengine.model import BaseModel

Shape = tuple[int, int]


def noise(model: 'BaseModel', count: int, shape: Shape, seed: int = 0) -> Tensor:
    """(count, C, H, W) of standard normal numbers, which have the mean and the deviation of normalised images."""
    channels = getattr(model.backbone, 'in_channels', 3)
    images = torch.randn(count, channels, *shape, generator=torch.Generator().manual_seed(seed))
    return images.to(next(model.parameters()).device)


def of_files(model: 'BaseModel', paths: Iterable[str | Path], shape: Shape) -> Tensor:
    """Of files; see :func:`prepared`."""
    return prepared(model, (dict(img_path=str(path)) for path in paths), shape)


def of_test_data(model: 'BaseModel', count: int, shape: Shape) -> Tensor:
    """Of the test data of the model's config, evenly spaced, all if there are fewer; see :func:`prepared`.

    Raises:
        InputError: there are none.
    """
    with DefaultScope.overwrite_default_scope(model.cfg.get('default_scope', 'mmengine')):
        try:
            dataset = DATASETS.build(dict(dataset_config(model.cfg), pipeline=[], lazy_init=False))
        except FileNotFoundError as error:
            what = advice(model.cfg, error.filename or '')
            raise InputError(f'no test data: {str(error).splitlines()[0]}; {what}') from error
    total = len(dataset)
    if not total:
        raise InputError('the test data of the config are empty')
    count = min(count, total)
    return prepared(model, (dataset.get_data_info(i * total // count) for i in range(count)), shape)


def prepared(model: 'BaseModel', infos: Iterable[dict[str, Any]], shape: Shape) -> Tensor:
    """Load images as the config does, cut them to a size, normalise them as the model does.

    Args:
        model: of :func:`mmseq.model.trained.load_trained`.
        infos: of each image what the first step of the config's test pipeline reads.
        shape: height and width; an image is scaled to cover it, and what stands over is cut off on both sides.

    Returns:
        (B, C, H, W), padded as the model's data preprocessor does it, on the model's device.

    Raises:
        InputError: an image that cannot be read.
    """
    with DefaultScope.overwrite_default_scope(model.cfg.get('default_scope', 'mmengine')):
        load = Compose([dataset_config(model.cfg)['pipeline'][0]])
    images = []
    for info in infos:
        try:
            image = load(info)['img']
        except (OSError, AssertionError, cv2.error) as error:
            raise InputError(f'{info["img_path"]}: cannot be read as an image ({type(error).__name__})') from error
        images.append(cover(torch.from_numpy(image).permute(2, 0, 1).float(), shape))
    data = dict(inputs=images, data_samples=samples(model.cfg, shape, len(images)))
    with torch.no_grad():
        return model.data_preprocessor(data, False)['inputs']


def cover(image: Tensor, shape: Shape) -> Tensor:
    """Scale (C, H, W) until it covers ``shape`` and cut out its middle."""
    height, width = image.shape[1:]
    scale = max(shape[0] / height, shape[1] / width)
    size = (max(shape[0], round(height * scale)), max(shape[1], round(width * scale)))
    scaled = F.interpolate(image[None], size, mode='bilinear', align_corners=False, antialias=True)[0]
    top, left = (size[0] - shape[0]) // 2, (size[1] - shape[1]) // 2
    return scaled[:, top : top + shape[0], left : left + shape[1]]


def dataset_config(cfg: Config) -> dict[str, Any]:
    """The data set with a pipeline behind a config's test data.

    Raises:
        InputError: there is none.
    """
    _, dataset = next(loader_datasets(cfg.get('test_dataloader'), 'test_dataloader'), ('', {}))
    if not dataset.get('pipeline'):
        raise InputError('config: test_dataloader has no data set with a pipeline')
    return dataset

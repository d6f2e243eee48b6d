"""A trained model as a folder that others load by its name: weights, config, names of classes, figures and a card.

``model.safetensors`` alone is what is loaded: it carries the config and the names. The rest is to be read.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmseq.checkpoints.digest import file_sha256
from mmseq.checkpoints.fetch import locate
from mmseq.checkpoints.folder import WEIGHTS
from mmseq.checkpoints.storage import load_meta
from mmseq.config import load_config
from mmseq.errors import InputError
from mmseq.files import put_in_place, whole_folder, write_json, write_png, write_text
from mmseq.model.trained import load_trained
from mmseq.pictures.browse import Browser
from mmseq.pictures.drawing import draw
from mmseq.predict.predictor import Predictor
from mmseq.runs.run import is_run, read_run
from mmseq.share.card import About, card
from mmseq.weights.publish import publish

if TYPE_CHECKING:
    from mmengine.config import Config
    from mmengine.model import BaseModel

PICTURE = 'prediction.png'
# As `mmseq infer` draws.
SCORE = 0.3


@dataclass(frozen=True)
class Wanted:
    """What is asked of a folder beside its weights.

    Args:
        title: of the card.
        licence: an identifier of the hub's, such as ``apache-2.0``; None leaves it unspecified.
        ema: take the moving average of the weights.
        image: a file to draw predictions on; None takes the first validation image, if the data are there.
        pictured: whether there is an image at all.
    """

    title: str
    licence: str | None = None
    ema: bool = False
    image: str | None = None
    pictured: bool = True


def write_model(source: str | os.PathLike[str], target: Path, wanted: Wanted) -> list[str]:
    """Write a checkpoint and what belongs to it into a new folder, and load it back strictly before it is there.

    Args:
        source: a work dir, or a checkpoint that carries its config.
        target: of the folder; absent or empty.
        wanted: what else is asked for.

    Returns:
        Remarks.

    Raises:
        InputError: the target has something in it, the source has no config or one that others could not load, or its
            weights do not fit the config.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f'--to {target}: is there already; name a new folder')
    path = locate(source)
    with whole_folder(target) as draft:
        written, remarks = publish(path, draft / 'model', wanted.ema)
        put_in_place(written, draft / WEIGHTS)
        said = load_meta(draft / WEIGHTS)
        if 'cfg' not in said:
            raise InputError(f'checkpoint {path}: carries no config, which others need; publish one of a training')
        weights = str(draft / WEIGHTS)
        cfg, model = load_trained(weights, weights, device='cpu')
        remarks += draw_example(path, model, draft, wanted) if wanted.pictured else []
        figures = metrics_of(path, said)
        about = about_model(model, cfg, figures, file_sha256(draft / WEIGHTS), said)
        write_text(draft / 'config.py', f'# The config in {WEIGHTS}, to be read: nothing here is run.\n{said["cfg"]}')
        write_text(draft / 'classes.txt', ''.join(f'{name}\n' for name in about.classes))
        write_json(draft / 'metrics.json', figures)
        picture = PICTURE if (draft / PICTURE).is_file() else None
        write_text(draft / 'README.md', card(about, wanted.title, wanted.licence, picture))
    return remarks


def metrics_of(checkpoint: Path, said: dict[str, Any]) -> dict[str, float]:
    """The figures that the work dir of a checkpoint has of it; empty if it was not evaluated there."""
    folder = checkpoint.absolute().parent
    if not is_run(folder):
        return {}
    run = read_run(folder, folder.name)
    if Path(str(run.report.get('checkpoint'))).name == checkpoint.name:
        return run.final
    # Of a checkpoint in the middle of an epoch there is no evaluation.
    found = [one.metrics for one in run.history if one.iteration == said.get('iter')]
    return found[-1] if found else {}


def about_model(
    model: 'BaseModel', cfg: 'Config', figures: dict[str, float], sha256: str, said: dict[str, Any]
) -> About:
    """What the card says of a model."""
    if cfg.get('default_scope') == 'mmseg':
        task = 'semantic-segmentation'
    elif 'panoptic' in json.dumps(list(figures)).lower() or getattr(model, 'num_stuff_classes', False):
        task = 'panoptic-segmentation'
    else:
        task = 'instance-segmentation' if getattr(model, 'with_mask', False) else 'object-detection'
    return About(
        task=task,
        model=type(model).__name__,
        backbone=type(model.backbone).__name__,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        classes=tuple(map(str, (model.dataset_meta or {}).get('classes') or ())),
        metrics=figures,
        sha256=sha256,
        version=str(said.get('mmseq', '')),
    )


def draw_example(checkpoint: Path, model: 'BaseModel', folder: Path, wanted: Wanted) -> list[str]:
    """Write a picture with the predictions for an image; returns remarks."""
    predictor = Predictor(model)
    image: str | np.ndarray
    if wanted.image is not None:
        image, name = wanted.image, Path(wanted.image).name
    else:
        try:
            # With the folders of this machine, which the published config does not name.
            sample = Browser(load_config(str(checkpoint), {}), 'val', raw=True)[0]
        except (InputError, OSError) as error:
            return [f'no image in the card: {error}']
        image, name = sample.picture, f'validation image {sample.name}'
    (found,) = predictor.predict([image])
    write_png(folder / PICTURE, draw(found.above(SCORE), predictor.classes, predictor.palette))
    return [f'the card shows {name} with its predictions; --no-image leaves it out']

"""The best and the worst images of runs: truth beside what the models predict."""

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from mmseq.checkpoints.folder import choose_checkpoint
from mmseq.errors import InputError
from mmseq.model.trained import load_trained
from mmseq.pictures.browse import Browser
from mmseq.pictures.drawing import draw
from mmseq.pictures.scaling import factor_for, scale_prediction, scale_sample
from mmseq.predict.predictor import Predictor
from mmseq.runs.report.scores import ImageScore, choose, read_scores
from mmseq.runs.run import Run, read_json
from mmseq.saved_config import training_folder

# Of a detection, where the evaluation does not say from which score on a detector is right more often than not.
USUAL_SCORE = 0.3
WRONG = np.array((222, 45, 38), np.uint8)


@dataclass(frozen=True)
class LoadedRun:
    """A run's model and its data.

    Attributes:
        note: shown on the page if not empty.
    """

    predictor: Predictor
    browser: Browser
    score: float
    note: str


def gallery(
    runs: Sequence[Run], count: int, device: str | None = None, progress: Callable[[list[Any]], Any] = list
) -> tuple[list[dict[str, Any]], list[str]]:
    """Pictures of the images that runs do best and worst on; runs over the same images share them.

    Args:
        runs: each with the checkpoint of its latest evaluation, or a newer one.
        count: images under each heading.
        device: of the models; by default a GPU if there is one.
        progress: gets the work of a group of runs as a list, and gives it back item by item.

    Returns:
        For each group of runs ``runs`` (their places) and ``sections``; and sentences on what is
        left out and why.
    """
    # one data set can be there for both tasks
    groups: dict[tuple[Any, ...], list[int]] = {}
    scores = [read_scores(run.folder) for run in runs]
    notes = []
    for i, (run, found) in enumerate(zip(runs, scores)):
        if found:
            task = run.config.get('default_scope') if run.config else None
            groups.setdefault((task, *(one.name for one in found)), []).append(i)
        else:
            notes.append(f'{run.name}: no per_image.csv in the work dir, which every evaluation writes')
    result = []
    for places in groups.values():
        loaded = {}
        for i in places:
            try:
                loaded[i] = load_run(runs[i], device)
            except InputError as error:
                notes.append(f'{runs[i].name}: no pictures, since {error}')
            else:
                notes += [f'{runs[i].name}: {loaded[i].note}'] * bool(loaded[i].note)
        if loaded:
            result.append(group(loaded, {i: scores[i] for i in loaded}, count, progress, notes))
    return [one for one in result if one['sections']], notes


def load_run(run: Run, device: str | None) -> LoadedRun:
    """Load a run's model and data.

    Raises:
        InputError: the checkpoint or the data are gone, or do not belong to the config.
    """
    home = training_folder(run.folder)
    if home is None:
        raise InputError('the work dir holds no config')
    checkpoint, note = find_checkpoint(run)
    config = str(home / 'vis_data' / 'config.py')
    cfg, model = load_trained(config, str(checkpoint), work_dir=str(run.folder), device=device)
    split = 'test' if run.report.get('mode') == 'test' else 'val'
    browser = Browser(cfg, split, raw=True)
    # predictors resize as test data are resized
    cfg.test_dataloader = cfg[f'{split}_dataloader']
    errors = read_json(run.folder / 'error_analysis.json')
    score = (errors.get('segm') or errors.get('bbox') or {}).get('score_threshold')
    return LoadedRun(Predictor(model), browser, USUAL_SCORE if score is None else score, note)


def find_checkpoint(run: Run) -> tuple[Path, str]:
    """The weights that the latest evaluation is of; if they are gone, the best or the newest, with a note.

    Raises:
        InputError: there are none.
    """
    evaluated = run.report.get('checkpoint')
    # a work dir that was moved has its checkpoints with it
    for path in (Path(evaluated), run.folder / Path(evaluated).name) if evaluated else ():
        if path.is_file():
            return path, ''
    try:
        path, _ = choose_checkpoint(run.folder)
    except InputError as error:
        raise InputError(f'{evaluated} is gone, and {error}' if evaluated else str(error)) from error
    return path, f'the pictures are by {path.name}, since the evaluated checkpoint was not kept'


def group(
    loaded: dict[int, LoadedRun],
    scores: dict[int, list[ImageScore]],
    count: int,
    progress: Callable[[list[Any]], Any],
    notes: list[str],
) -> dict[str, Any]:
    """Sections of pictures of runs over the same images; what fails is left out and noted."""
    chosen = choose(list(scores.values()), count)
    drawn: dict[int, dict[str, Any]] = {}
    for place in progress(sorted({place for places in chosen.values() for place in places})):
        try:
            drawn[place] = item(loaded, {i: found[place] for i, found in scores.items()}, place)
        except InputError as error:
            notes.append(f'a picture is left out: {error}')
    sections = [
        dict(title=title, items=[drawn[place] for place in places if place in drawn])
        for title, places in chosen.items()
    ]
    return dict(runs=list(loaded), sections=[section for section in sections if section['items']])


def item(loaded: dict[int, LoadedRun], rows: dict[int, ImageScore], place: int) -> dict[str, Any]:
    """One image: name, the runs' scores with words, and panels with caption, picture and the run that it is of.

    Raises:
        InputError: the data are no longer those that were evaluated, or cannot be read.
    """
    first = next(iter(loaded.values()))
    name = next(iter(rows.values())).name
    if place >= len(first.browser) or (sample := first.browser[place]).name != name:
        raise InputError(f'{name} is not at place {place} of the data set any more; evaluate again')
    factor = factor_for(sample.picture)
    truth = scale_sample(sample, factor)
    panels = [panel('Picture', truth.picture), panel('Truth', first.browser.draw(truth))]
    path = rows[next(iter(rows))].path
    for i, run in loaded.items():
        predicted = scale_prediction(run.predictor.predict([path])[0].above(run.score), factor)
        drawn = draw(predicted, run.predictor.classes, run.predictor.palette)
        panels.append(panel('Prediction', drawn, i))
        if len(loaded) == 1 and truth.labels is not None and predicted.labels is not None:
            wrong = draw_wrong(truth.picture, truth.labels, predicted.labels, len(first.browser.classes))
            panels.append(panel('Wrong pixels', wrong, i))
    scores = [dict(run=i, score=row.score, words=row.words) for i, row in rows.items()]
    return dict(name=name, path=path, scores=scores, panels=panels)


def draw_wrong(picture: np.ndarray, truth: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """The picture in grey, with the pixels in red that were given another class than the true one."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    canvas = cv2.cvtColor(cv2.addWeighted(grey, 0.6, grey, 0, 90), cv2.COLOR_GRAY2RGB)
    wrong = (truth != labels) & (truth >= 0) & (truth < classes)
    canvas[wrong] = (0.25 * canvas[wrong] + 0.75 * WRONG).astype(np.uint8)
    return canvas


def panel(caption: str, picture: np.ndarray, run: int | None = None) -> dict[str, Any]:
    """A picture of the page, as an address that holds it."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, format='WEBP', quality=82, method=4)
    address = 'data:image/webp;base64,' + base64.b64encode(file.getvalue()).decode('ascii')
    return dict(caption=caption, run=run, source=address, width=picture.shape[1], height=picture.shape[0])

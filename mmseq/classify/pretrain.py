"""A backbone pretrained as a classifier, and its weights as others load them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.dist import get_world_size
from mmengine.runner import Runner

from mmseq.checkpoints.storage import load_file
from mmseq.checkpoints.wrappers import state_dict
from mmseq.classify.settings import Pretraining
from mmseq.engine.bare_model import bare_model
from mmseq.engine.launch import train
from mmseq.errors import InputError
from mmseq.ranks import is_first_process
from mmseq.weights.weights_file import origin, save_weights

BACKBONE, CLASSIFIER = 'backbone.safetensors', 'classifier.safetensors'
PREFIX = 'backbone.'


@dataclass(frozen=True)
class Outcome:
    """What a pretraining came to.

    Args:
        backbone: file of the backbone's weights.
        classifier: file of the whole classifier's.
        scores: ``top1`` and ``top5`` of them, in percent.
        hours: of training, without evaluations, interrupted parts included.
        speed: images a second, all processes together.
    """

    backbone: Path
    classifier: Path
    scores: Mapping[str, float]
    hours: float
    speed: float


def pretrain(
    asked: Pretraining,
    *,
    options: Mapping[str, Any] | None = None,
    work_dir: str | None = None,
    seed: int | None = None,
    launcher: str = 'none',
    resume: str | None = None,
    anew: bool = False,
    amp: str | None = None,
    ema: float | None = None,
    compile_backbone: bool = False,
    channels_last: bool = False,
    deterministic: bool = False,
    loggers: Sequence[str] = (),
    verbose: bool = False,
) -> Outcome | None:
    """Train a classifier and write the weights of its best evaluation.

    Args:
        asked: the backbone, the data, and what is to be other than usual.
        options: as all that follow, see :func:`mmseq.engine.launch.train`.

    Returns:
        What it came to; None in all processes but the first.

    Raises:
        InputError: bad input, before any training.
    """
    runner = train(
        None,
        change=asked,
        options=options,
        work_dir=work_dir,
        seed=seed,
        launcher=launcher,
        resume=resume,
        anew=anew,
        amp=amp,
        ema=ema,
        compile_backbone=compile_backbone,
        channels_last=channels_last,
        deterministic=deterministic,
        loggers=loggers,
        verbose=verbose,
    )
    return finish(runner, asked) if is_first_process() else None


def finish(runner: Runner, asked: Pretraining) -> Outcome:
    """Write the best weights of a run that has ended.

    Raises:
        InputError: the run has kept no best checkpoint.
    """
    hub, folder = runner.message_hub, Path(runner.work_dir)
    best = hub.runtime_info.get('best_ckpt')
    if not best or not Path(best).is_file():
        raise InputError(f'{folder}: the run has kept no best checkpoint; save_best of the checkpoint hook writes it')
    payload = load_file(best)
    tensors, _ = state_dict(payload, Path(best))
    scores = scores_of(runner, float(hub.get_info('best_score')))
    facts = origin(**facts_of(runner, asked, scores))
    backbone = {key.removeprefix(PREFIX): tensor for key, tensor in tensors.items() if key.startswith(PREFIX)}
    save_weights(backbone, folder / BACKBONE, facts)
    save_weights(tensors, folder / CLASSIFIER, facts)
    seconds, _ = hub.get_scalar('train/time').data
    images = len(seconds) * runner.cfg.train_dataloader.batch_size * get_world_size()
    total = float(sum(seconds))
    return Outcome(folder / BACKBONE, folder / CLASSIFIER, scores, total / 3600, images / total if total else 0.0)


def scores_of(runner: Runner, best: float) -> dict[str, float]:
    """The figures of the evaluation whose top-1 was best."""
    top1, top5 = (list(runner.message_hub.get_scalar(f'val/{name}').data[0]) for name in ('top1', 'top5'))
    place = min(range(len(top1)), key=lambda i: abs(top1[i] - best))
    return dict(top1=round(best, 2), top5=round(float(top5[place]), 2))


def facts_of(runner: Runner, asked: Pretraining, scores: Mapping[str, float]) -> dict[str, str]:
    """What is written beside the weights."""
    model = bare_model(runner.model)
    backbone = runner.cfg.model.backbone
    return dict(
        family=model.backbone.family,
        arch=str(backbone.get('arch') or backbone.get('name')),
        data=Path(asked.data).name,
        classes=str(model.num_classes),
        epochs=str(runner.max_epochs),
        **{name: str(value) for name, value in scores.items()},
    )

"""Run the evaluations of a robustness measurement, each of which leaves a file, whole or not at all."""

import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.runner import Runner

from mmseq.checkpoints.digest import file_sha256
from mmseq.config import read_model_config
from mmseq.datasets.own.card import read_card
from mmseq.engine.hooks.eval_artifacts import EvalArtifactsHook
from mmseq.engine.launch import build_runner, edited
from mmseq.engine.own.changes import NO_NAME, OwnData
from mmseq.engine.preflight import check_config, check_datasets
from mmseq.engine.robustness.steps import Asked, Step, steps_of
from mmseq.engine.settings import Settings
from mmseq.engine.terminal import Terminal, shown
from mmseq.engine.trial import try_images
from mmseq.evaluation.probe import Probe
from mmseq.explain import explaining
from mmseq.files import jsonable, write_json
from mmseq.model.named import title_of
from mmseq.ranks import is_first_process, rank, world_size

FIGURES = 'figures.json'
EVALUATIONS = 'evaluations'


@dataclass(frozen=True)
class Measured:
    """A model, its data and what is asked of it.

    Args:
        config: path of the config.
        checkpoint: of a training run.
        out: folder of the results.
        asked: what is measured.
        data: a data card.
        image_size: as for a training.
        options: dotted keys and values that override the config.
        seed: of the run's random numbers.
    """

    config: str
    checkpoint: str
    out: Path
    asked: Asked
    data: str | None = None
    image_size: int | None = None
    options: Mapping[str, Any] | None = None
    seed: int | None = None


def measure(measured: Measured, tell: Callable[[str], None]) -> None:
    """Run the evaluations that are not there yet; of several processes each runs its share.

    Each is an evaluation as ``mmseq test`` makes it, in one process, of a config that a ``Step`` has changed.

    Args:
        measured: what is to be measured.
        tell: gets a line about each evaluation.

    Raises:
        InputError: bad input, before any inference.
    """
    number = rank()
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get('LOCAL_RANK', '0')))
    cfg, check = prepared(measured, measured.out / 'logs' / f'process_{number}')
    digest = file_sha256(cfg.load_from)
    steps = steps_of(cfg, measured.asked)
    wanted = {step.key: fingerprint(step, cfg, measured.asked.most_images, digest) for step in steps}
    open_steps = [step for step in steps if not is_done(measured.out, step, wanted[step.key])]
    # By their place among all, since others may finish some before this process has looked.
    mine = [step for step in steps[number :: world_size()] if step in open_steps]
    if is_first_process():
        write_plan(measured, cfg, steps, digest)
        done = len(steps) - len(open_steps)
        tell(f'{len(steps)} evaluations' + (f', of which {done} are there already' if done else ''))
    if mine:
        with shown() as terminal:
            check()
            # Each of ninety evaluations would show its head, progress and end.
            terminal.console.quiet = True
            run_steps(mine, wanted, Session(cfg, terminal), measured, tell)


def prepared(measured: Measured, logs: Path) -> tuple[Config, Callable[[], None]]:
    """The config of the clean evaluation, and what checks it and its data."""
    settings = Settings(
        'evaluation', measured.config, work_dir=str(logs), seed=measured.seed, load_from=measured.checkpoint
    )
    own = OwnData(measured.data, image_size=measured.image_size)
    cfg, work = edited(read_model_config(measured.config, measured.options or {}, own), settings)

    def check() -> None:
        with explaining(work):
            check_config(work.cfg, ('test_dataloader',))
            if is_first_process():
                check_datasets(work, ('test_dataloader',))

    return cfg, check


def fingerprint(step: Step, cfg: Config, images: int | None, digest: str) -> str:
    """What an evaluation is of: figures with another fingerprint are no longer right."""
    of = dict(checkpoint=digest, model=cfg.model, loader=step.loader(cfg, images), evaluator=step.evaluator(cfg))
    return hashlib.sha256(json.dumps(jsonable(of), sort_keys=True).encode()).hexdigest()


def folder_of(out: Path, step: Step) -> Path:
    """Where an evaluation leaves its files."""
    return out / EVALUATIONS / step.key


def is_done(out: Path, step: Step, wanted: str) -> bool:
    """Whether the figures of an evaluation are there."""
    path = folder_of(out, step) / FIGURES
    return path.is_file() and json.loads(path.read_text(encoding='utf-8'))['fingerprint'] == wanted


def write_plan(measured: Measured, cfg: Config, steps: Sequence[Step], digest: str) -> None:
    """Say what the results are of, and which evaluations belong to them."""
    asked = measured.asked
    write_json(
        measured.out / 'plan.json',
        dict(
            config=Path(cfg.filename).name if cfg.filename else None,
            checkpoint=str(cfg.load_from),
            checkpoint_sha256=digest,
            data=measured.data,
            parts=asked.parts,
            quick=asked.quick,
            seed=asked.seed,
            images=asked.most_images,
            evaluations=[step.key for step in steps],
        ),
    )


def run_steps(
    steps: Sequence[Step],
    wanted: Mapping[str, str],
    session: 'Session',
    measured: Measured,
    tell: Callable[[str], None],
) -> None:
    """Run evaluations one after another, with the time that is left."""
    began = time.monotonic()
    for number, step in enumerate(steps, 1):
        started = time.monotonic()
        folder = folder_of(measured.out, step)
        figures = session.evaluate(step, folder, measured.asked.most_images)
        seconds = time.monotonic() - started
        about = dict(fingerprint=wanted[step.key], part=step.part, name=step.name, about=step.about, seconds=seconds)
        write_json(folder / FIGURES, about | figures)
        left = (time.monotonic() - began) / number * (len(steps) - number)
        tell(f'{step.key}: {summary(figures["metrics"])} ({seconds:.0f} s; {in_words(left)} left)')


def summary(metrics: Mapping[str, float]) -> str:
    """The first figures of an evaluation."""
    first = list(metrics.items())[:3]
    return ', '.join(f'{name.partition("/")[2] or name} {value:.4g}' for name, value in first) or 'predictions are kept'


def in_words(seconds: float) -> str:
    """A time in minutes, or seconds where it is short."""
    return f'{seconds / 60:.0f} min' if seconds >= 90 else f'{seconds:.0f} s'


class Session:
    """A model that is evaluated again and again.

    Args:
        cfg: of the clean evaluation.
        terminal: where runs are shown.
    """

    def __init__(self, cfg: Config, terminal: Terminal) -> None:
        self._cfg, self._terminal = cfg, terminal
        self._runner: Runner | None = None
        self._with_logits = False

    def evaluate(self, step: Step, folder: Path, images: int | None) -> dict[str, Any]:
        """Run one evaluation.

        Args:
            step: what is changed.
            folder: of its files.
            images: how many are evaluated, the first ones; None for all.

        Returns:
            ``images``, how many they were, the ``metrics`` by name, and the ``details`` of further metrics.
        """
        runner = self._runner_for(step)
        for hook in runner.hooks:
            if isinstance(hook, EvalArtifactsHook):
                hook.out_dir = str(folder)
        runner._test_dataloader = step.loader(self._cfg, images)
        runner._test_evaluator = with_folder(step.evaluator(self._cfg), folder)
        runner._test_loop = loop = runner.build_test_loop(dict(self._cfg.test_cfg))
        for metric in loop.evaluator.metrics:
            try_images(metric, loop.dataloader, 'test')
        metrics = loop.run()
        details = {type(one).__name__: one.details for one in loop.evaluator.metrics if isinstance(one, Probe)}
        return dict(images=len(loop.dataloader.dataset), metrics=metrics, details=details)

    def _runner_for(self, step: Step) -> Runner:
        # Windows of our class keep labels only.
        sliding = step.with_logits and self._cfg.model.type == 'mmseq.SlidingEncoderDecoder'
        if self._runner is None or sliding != self._with_logits:
            cfg = self._cfg.copy()
            if sliding:
                cfg.model = dict(cfg.model, type='EncoderDecoder')
            self._runner, self._with_logits = ready(build_runner(cfg, self._terminal)), sliding
        return self._runner


def ready(runner: Runner) -> Runner:
    """Do what ``Runner.test`` does before the loop: the trial of the evaluation, and the checkpoint."""
    assert runner.test_loop is not None
    runner.call_hook('before_run')
    runner.load_or_resume()
    return runner


def with_folder(evaluator: Any, folder: Path) -> Any:
    """Metrics that keep predictions, with the place where to."""
    metrics = evaluator['metrics'] if isinstance(evaluator, dict) else evaluator
    for metric in metrics:
        if metric['type'] == 'mmseq.KeptLabels':
            metric['folder'] = str(folder / 'labels')
        elif metric['type'] == 'mmseq.KeptInstances':
            metric['file'] = str(folder / 'detections.json')
    return evaluator


def folder_for(config: str, work_dir: str | None, data: str | None, quick: bool) -> Path:
    """Where results go: into the work dir that stands for the config, or else that of an evaluation.

    Args:
        config: as it was named.
        work_dir: what was asked for.
        data: a data card, whose results lie beside those of the config's own data.
        quick: so do quick results.
    """
    named = config if Path(config).is_dir() else None
    home = work_dir or named or str(Path('work_dirs') / title_of(config))
    card = [re.sub(NO_NAME, '_', read_card(data).name)] if data else []
    return Path(home) / '_'.join(['robustness', *card, *(['quick'] if quick else [])])

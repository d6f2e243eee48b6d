"""One training per seed, and what the metrics come to over the seeds."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmseq.checkpoints.folder import regular_files
from mmseq.config import config_file
from mmseq.engine.torchrun import of_child
from mmseq.errors import InputError
from mmseq.evaluation.spread import STATISTICS as STATISTICS
from mmseq.evaluation.spread import spread
from mmseq.files import write_csv, write_json


def run_seeds(
    config: str, seeds: Sequence[int], folder: Path, processes: int, options: Sequence[str]
) -> dict[str, Any]:
    """Train a config once per seed, one run after another; finished seeds are kept, interrupted ones go on.

    Args:
        config: path of the config.
        seeds: one run each, in ``folder/seed_N``.
        folder: gets ``seeds.json`` and ``seeds.csv``, after every seed.
        processes: of each run, on this machine.
        options: further options of the training command.

    Returns:
        What ``seeds.json`` holds: the command, the metrics per seed, and their statistics.

    Raises:
        InputError: no such config, the folder holds seeds of another command, or a training failed.
    """
    config_file(config)
    command = dict(config=config, options=list(options), processes=processes)
    file = folder / 'seeds.json'
    report = json.loads(file.read_text()) if file.is_file() else dict(command=command, seeds={}, statistics={})
    if report['command'] != command:
        raise InputError(
            f'{file}: was made by another command ({report["command"]}); repeat that one, or give another --work-dir'
        )
    for seed in seeds:
        if str(seed) not in report['seeds']:
            report['seeds'][str(seed)] = train_once(config, seed, folder / f'seed_{seed}', processes, options)
            summarise(report, folder)
    summarise(report, folder)
    return report


def train_once(config: str, seed: int, folder: Path, processes: int, options: Sequence[str]) -> dict[str, float]:
    """The metrics of one finished training.

    Raises:
        InputError: it failed, or ended without an evaluation.
    """
    arguments = [config, '--seed', str(seed), '--work-dir', str(folder), *options]
    if regular_files(folder):
        arguments.append('--resume')
    if processes > 1:
        arguments += ['--gpus', str(processes)]
    environment = os.environ | of_child(os.environ)
    status = subprocess.run([sys.executable, '-m', 'mmseq', 'train', *arguments], env=environment).returncode
    if status:
        raise InputError(
            f'seed {seed}: training ended with status {status}; fix the cause and repeat the command to continue'
        )
    metrics = folder / 'metrics.json'
    if not metrics.is_file():
        raise InputError(
            f'seed {seed}: {metrics} is missing, the training evaluated nothing; set train_cfg.val_interval'
        )
    return {name: value for name, value in json.loads(metrics.read_text())['metrics'].items() if value is not None}


def summarise(report: dict[str, Any], folder: Path) -> None:
    """Fill in the statistics, and write both files."""
    runs = report['seeds']
    names = list(dict.fromkeys(name for metrics in runs.values() for name in metrics))
    report['statistics'] = {}
    for name in names:
        values = [metrics[name] for metrics in runs.values() if name in metrics]
        report['statistics'][name] = spread(values) | dict(seeds=len(values))
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / 'seeds.json', report)
    columns = ['metric', *(f'seed {seed}' for seed in runs), *STATISTICS]
    write_csv(folder / 'seeds.csv', columns, table(report))


def table(report: dict[str, Any]) -> list[list[Any]]:
    """One row per metric: its name, its value of each seed, and the statistics."""
    return [
        [name, *(metrics.get(name) for metrics in report['seeds'].values()), *(found[key] for key in STATISTICS)]
        for name, found in report['statistics'].items()
    ]

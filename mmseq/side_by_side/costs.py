"""What trained models cost: parameters, multiply-adds, memory and time of an inference."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from mmseq.checkpoints.folder import choose_checkpoint
from mmseq.config import load_config
from mmseq.files import write_json
from mmseq.measure import complexity
from mmseq.measure.throughput import Case, Subject, make_call
from mmseq.measure.timing import alternate, machine, peak_bytes, spread
from mmseq.model.shape import usual_shape
from mmseq.runs.run import read_json

# Seconds after which no further round of timing begins.
BUDGET = 120.0
Said = Callable[[str], object]


def subject_of(run: Path, device: str) -> Subject:
    """A trained model: the speed of detectors depends on what they detect."""
    return Subject(str(run), str(choose_checkpoint(run)[0]), {}, device)


def sizes(run: Path, device: str) -> dict[str, Any]:
    """Parameters, multiply-adds and peak memory of one image, kept in ``cost.json`` beside the seeds.

    Args:
        run: work dir of a training.
        device: of the inference.

    Raises:
        InputError: the model cannot be counted.
    """
    file = run.parent / 'cost.json'
    if found := read_json(file):
        return found
    cfg = load_config(str(run), {})
    counted = complexity.measure(cfg)
    case = Case(usual_shape(cfg), 1)
    row = dict(
        height=case.shape[0],
        width=case.shape[1],
        parameters=counted.total_parameters,
        backbone_parameters=counted.parameters['backbone'],
        madds=counted.total_madds,
        backbone_madds=counted.madds.get('backbone'),
        uncounted=list(counted.uncounted),
        peak_bytes=peak_bytes(make_call, (subject_of(run, device), case), torch.device(device)),
    )
    write_json(file, row)
    return row


def speeds(runs: Mapping[str, Path], device: str, file: Path, said: Said | None = None) -> dict[str, dict[str, float]]:
    """Seconds of one image by name, in turns, so that all meet the same moods of the machine; kept in a file.

    Args:
        runs: work dir of a training by name.
        device: of the inference.
        file: keeps what was measured, for the same names and device.
        said: is told of each round.

    Returns:
        Median and quartiles of each.
    """
    about = machine(torch.device(device))
    kept = read_json(file)
    if kept.get('machine') == about['device'] and set(kept.get('seconds', {})) == set(runs):
        return dict(kept['seconds'])
    calls = {
        name: make_call(subject_of(run, device), Case(usual_shape(load_config(str(run), {})), 1))
        for name, run in runs.items()
    }
    times = alternate(calls, torch.device(device), budget=BUDGET, said=said)
    found = {name: spread(values) for name, values in times.items()}
    write_json(file, dict(machine=about['device'], threads=about['threads'], torch=about['torch'], seconds=found))
    return found

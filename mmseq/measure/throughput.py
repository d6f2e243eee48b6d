"""How fast a config's model infers on this machine, over sizes, batches and number formats, and what loading costs."""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope

from mmseq.errors import InputError
from mmseq.measure.timing import peak_bytes
from mmseq.model.trained import load_trained
from mmseq.runtimes import OnnxFile

if TYPE_CHECKING:
    from mmengine.model import BaseModel

PERCENTILES = (50, 90, 99)
# Calls that make caches and workspaces, and compile.
WARM_UP = 2


@dataclass(frozen=True)
class Case:
    """One point: (height, width) in pixels, images of a call, ``float32`` or ``bfloat16``, the backbone compiled, and
    what runs it: ``torch``, or one of ``mmseq.runtimes.RUNTIMES``."""

    shape: tuple[int, int]
    batch: int
    dtype: str = 'float32'
    compiled: bool = False
    runtime: str = 'torch'


@dataclass(frozen=True)
class Subject:
    """What is measured, for other processes to make anew.

    ``config``, ``checkpoint``, ``options``, ``device`` and ``change`` are those of
    :func:`mmseq.model.trained.load_trained`; ``file`` is the exported model, for other runtimes than torch.
    """

    config: str
    checkpoint: str | None
    options: dict[str, Any]
    device: str
    file: str | None = None
    change: Callable[[Config, Mapping[str, Any]], None] | None = None


def cases(
    shapes: Sequence[tuple[int, int]],
    batches: Sequence[int],
    dtypes: Sequence[str],
    compiled: Sequence[bool],
    runtimes: Sequence[str] = ('torch',),
) -> list[Case]:
    """All combinations, small ones first; exported models are neither compiled nor in bfloat16."""
    found = [Case(*one) for one in product(sorted(shapes), sorted(batches), dtypes, compiled, runtimes)]
    return [case for case in found if case.runtime == 'torch' or (case.dtype == 'float32' and not case.compiled)]


def load(subject: Subject) -> 'BaseModel':
    """The model; without a checkpoint its backbone loads nothing, since times do not depend on values."""
    options = dict(subject.options)
    if subject.checkpoint is None:
        options.setdefault('model.backbone.init_cfg', None)
    _, model = load_trained(
        subject.config, subject.checkpoint, options=options, device=subject.device, change=subject.change
    )
    return model


def make_call(subject: Subject, case: Case, model: 'BaseModel | None' = None) -> Callable[[], object]:
    """One inference of random images as ``test_step`` gets them: normalisation, model and what follows it."""
    if case.runtime != 'torch':
        return call_of_file(subject, case)
    model = model or load(subject)
    if case.compiled:
        model.backbone.compile(dynamic=False)
    images = torch.randint(0, 256, (case.batch, model.backbone.in_channels, *case.shape), dtype=torch.uint8)
    device = torch.device(subject.device)
    low = torch.autocast(device.type, getattr(torch, case.dtype)) if case.dtype != 'float32' else nullcontext()

    def infer() -> object:
        data = dict(inputs=list(images), data_samples=samples(model.cfg, case.shape, case.batch))
        with torch.no_grad(), low:
            return model.test_step(data)

    return infer


def call_of_file(subject: Subject, case: Case) -> Callable[[], object]:
    """The same of an exported model, in which normalisation and what follows the model are."""
    assert subject.file is not None
    file = OnnxFile(subject.file, case.runtime, torch.get_num_threads())
    _, channels, *_ = file.inputs['images'][1]
    images = np.random.default_rng(0).integers(0, 256, (case.batch, channels or 3, *case.shape)).astype(np.float32)
    given: dict[str, np.ndarray] = dict(images=images, size=np.array(case.shape, np.int64))
    return lambda: file({name: given[name] for name in file.inputs})


def samples(cfg: Config, shape: tuple[int, int], count: int) -> list[Any]:
    """What heads want to know of images that are as large as they were."""
    meta = dict(ori_shape=shape, img_shape=shape, pad_shape=shape, scale_factor=(1.0, 1.0))
    if cfg.get('default_scope') == 'mmseg':
        from mmseg.structures import SegDataSample as Sample
    else:
        from mmdet.structures import DetDataSample as Sample
    return [Sample(metainfo=dict(meta)) for _ in range(count)]


def measure(subject: Subject, case: Case, seconds: float, memory: bool = True) -> dict[str, Any]:
    """Latencies of one case over so many seconds, at least five calls, the first call of all, and peak memory.

    The first call is what a service waits for after its start: caches, and compiling unless an earlier run's code is
    found in ``TORCHINDUCTOR_CACHE_DIR``; the measurement of memory is such a run.

    Raises:
        InputError: no C++ compiler for ``compiled``.
    """
    device = torch.device(subject.device)
    row: dict[str, Any] = dict(
        height=case.shape[0],
        width=case.shape[1],
        batch=case.batch,
        dtype=case.dtype,
        compiled=case.compiled,
        runtime=case.runtime,
    )
    if memory:
        row['peak_bytes'] = peak_bytes(make_call, (subject, case), device)
        if row['peak_bytes'] is None:
            return row | dict(left_out='the memory does not suffice')
    # A model of its own: compiling changes it.
    call = make_call(subject, case)
    try:
        first, *_ = [duration(call, device) for _ in range(WARM_UP)]
    except RuntimeError as error:
        if 'ompiler' not in str(error):
            raise
        raise InputError(f'--compile: {str(error).strip().splitlines()[0]}') from error
    latencies = list(timed(call, device, seconds))
    median = statistics.median(latencies)
    return row | dict(
        images_per_s=case.batch / median,
        first_call_s=first,
        latency_s={f'p{p}': float(np.percentile(latencies, p)) for p in PERCENTILES},
        calls=len(latencies),
    )


def timed(call: Callable[[], object], device: torch.device, seconds: float) -> Iterator[float]:
    """The duration of each call, one waited for before the next begins, as a server would see it."""
    begin, done = time.perf_counter(), 0
    while done < 5 or time.perf_counter() - begin < seconds:
        yield duration(call, device)
        done += 1


def duration(call: Callable[[], object], device: torch.device) -> float:
    """Seconds until a call's work is done."""
    start = time.perf_counter()
    call()
    if device.type == 'cuda':
        torch.cuda.synchronize()
    return time.perf_counter() - start


def data_seconds(cfg: Config, images: int = 20) -> dict[str, Any]:
    """What reading and preparing an image of the test data takes in one process; a sentence where there are none."""
    scope = cfg.get('default_scope', 'mmengine')
    try:
        with DefaultScope.overwrite_default_scope(scope):
            dataset = DATASETS.build(deepcopy(cfg.test_dataloader.dataset))
    except (FileNotFoundError, AttributeError, TypeError) as error:
        return dict(left_out=f'no test data ({type(error).__name__}: {str(error).splitlines()[0]:.120})')
    if not len(dataset):
        return dict(left_out='the test data are empty')
    durations = []
    for index in range(min(images, len(dataset))):
        start = time.perf_counter()
        dataset[index]
        durations.append(time.perf_counter() - start)
    return dict(images=len(durations), latency_s={f'p{p}': float(np.percentile(durations, p)) for p in PERCENTILES})

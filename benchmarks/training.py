"""Where the time of whole training iterations goes: loader, transfer, forward, backward, optimiser, hooks and loop.

    MMSEQ_DATA=data python benchmarks/training.py configs/upernet_seq2d_s_ade20k.py configs/mask_rcnn_seq2d_s_coco.py

Real runs of mmengine's runner on real images with the configs' own pipelines and hooks, from random weights, without
evaluation. "loader" is what the training waits for the next batch; what workers do meanwhile costs nothing. "hooks and
loop" is all that none of the others is. Of every part the median of the iterations after the first few.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmseq.cli import run
from mmseq.config import read_model_config
from mmseq.engine.launch import build_runner, edited
from mmseq.engine.settings import Settings, add_hooks
from mmseq.engine.terminal import Terminal
from mmseq.errors import InputError
from mmseq.files import write_json
from mmseq.measure.timing import machine, spread
from mmseq.registry import HOOKS

RESULTS = Path(__file__).parent / 'results'
PARTS = ('loader', 'transfer', 'forward', 'backward', 'optimiser')
# Iterations that make caches, workspaces and the loader's first batches.
WARM_UP = 3


class TimedLoader:
    """A loader that tells how long each batch was waited for."""

    def __init__(self, loader: Any, note: Callable[[str, float], None]) -> None:
        self.loader, self.note = loader, note

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        batches = iter(self.loader)
        while True:
            begin = time.perf_counter()
            try:
                batch = next(batches)
            except StopIteration:
                return
            self.note('loader', time.perf_counter() - begin)
            yield batch


@HOOKS.register_module()
class PartsHook(Hook):
    """Times the parts of every iteration into ``seconds``, a list by part."""

    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {part: [] for part in (*PARTS, 'iteration')}
        self.begin: float | None = None

    def note(self, part: str, seconds: float) -> None:
        self.seconds[part].append(seconds)

    def timed(self, part: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **options: Any) -> Any:
            settle()
            begin = time.perf_counter()
            found = call(*args, **options)
            settle()
            self.note(part, time.perf_counter() - begin)
            return found

        return wrapped

    def before_train(self, runner: Runner) -> None:
        model, wrapper = runner.model, runner.optim_wrapper
        model.data_preprocessor.forward = self.timed('transfer', model.data_preprocessor.forward)
        model.loss = self.timed('forward', model.loss)
        wrapper.backward = self.timed('backward', wrapper.backward)
        # What update_params does beside the backward pass: clipping, the step, and zeroing.
        wrapper.step = self.timed('optimiser', wrapper.step)
        loop = runner.train_loop
        loop.dataloader = TimedLoader(loop.dataloader, self.note)
        if hasattr(loop, 'dataloader_iterator'):
            loop.dataloader_iterator = iter(loop.dataloader)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        settle()
        now = time.perf_counter()
        if self.begin is not None:
            self.note('iteration', now - self.begin)
        self.begin = now


def settle() -> None:
    """Wait for the GPU, so that its work counts where it was ordered."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def measure(path: str, args: argparse.Namespace) -> dict[str, Any]:
    """Train a few iterations of a config."""
    cfg = read_model_config(path, args.cfg_options)
    cfg.model.backbone.init_cfg = None
    cfg.train_dataloader.batch_size = args.batch
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=args.iterations + WARM_UP + 1, val_interval=10**9)
    cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
    cfg.test_dataloader = cfg.test_cfg = cfg.test_evaluator = None
    cfg.default_hooks.checkpoint = None
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings('training', path, work_dir=folder, amp='bfloat16' if args.amp else None)
        cfg, _ = edited(add_hooks(cfg, dict(type='mmseq.PartsHook')), settings)
        runner = build_runner(cfg, Terminal())
        runner.train()
    hook = next(hook for hook in runner.hooks if isinstance(hook, PartsHook))
    # From the start of an iteration to that of the next, which waits for the next batch.
    whole = hook.seconds['iteration'][WARM_UP:]
    lists = {part: hook.seconds[part][WARM_UP + (part == 'loader') :][: len(whole)] for part in PARTS}
    lists['hooks and loop'] = [total - sum(parts) for total, parts in zip(whole, zip(*lists.values()))]
    return dict(
        config=Path(path).stem,
        batch=args.batch,
        workers=cfg.train_dataloader.num_workers,
        amp=args.amp,
        options=args.cfg_options,
        iteration=spread(whole),
        parts={part: spread(values) for part, values in lists.items()},
        share={part: statistics.median(values) / statistics.median(whole) for part, values in lists.items()},
    )


def main() -> int:
    from mmengine.config import DictAction

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('configs', nargs='+', help='of detectors or segmentors')
    parser.add_argument('--batch', type=int, default=2, help='images of an iteration')
    parser.add_argument('--iterations', type=int, default=10, help='that are counted, 3 at least')
    parser.add_argument('--amp', action='store_true', help='bfloat16')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={}, metavar='KEY=VALUE')
    parser.add_argument('--out', type=Path, help='default: benchmarks/results/training_cpu.json or ..._gpu.json')
    args = parser.parse_args()
    if args.iterations < 3 or args.batch < 1:
        raise InputError('--iterations begin at 3 and --batch at 1')
    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    cases = [measure(path, args) for path in args.configs]
    for case in cases:
        parts = ', '.join(f'{part} {1000 * value["median"]:.0f} ms' for part, value in case['parts'].items())
        print(
            f'{case["config"]}: {1000 * case["iteration"]["median"]:.0f} ms per iteration of {case["batch"]}: {parts}'
        )
    out = args.out or RESULTS / f'training_{"gpu" if device.type == "cuda" else "cpu"}.json'
    print(write_json(out, dict(machine=machine(device), cases=cases)))
    return 0


if __name__ == '__main__':
    run(main)

"""The parts of benchmarks.gpu_once, each run by itself: `python -m benchmarks.gpu_once.parts NAME FOLDER [--dry]`.

A part is a function from a :class:`Place` to its results; `lines` among them go into the table at the end.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mmseq import ops
from mmseq.files import write_json
from mmseq.layers.recurrent2d import flat_weights
from mmseq.measure.timing import alternate, machine, peak_on_gpu

Call = Callable[[], Tensor]
ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / 'benchmarks'
# By which forward and backward have to beat the native kernels under autocast, at both batch sizes, to be the default.
GAIN = 1.3
# mIoU of the demo with every kernel, and by how much two kernels may differ.
DEMO, AGREEMENT = 0.60, 0.01


@dataclass(frozen=True)
class Place:
    """Where a part runs, where its results go, and whether it is only tried."""

    out: Path
    dry: bool

    @property
    def device(self) -> torch.device:
        return torch.device('cpu' if self.dry else 'cuda')

    def pick(self, real: Any, dry: Any) -> Any:
        """A size, or that of a dry run."""
        return dry if self.dry else real

    def times(self, calls: dict[str, Callable[[], object]]) -> dict[str, float]:
        """Median seconds of calls that take turns."""
        rounds, slot = self.pick((7, 0.05), (2, 0.01))
        found = alternate(calls, self.device, rounds=rounds, slot=slot)
        return {name: statistics.median(values) for name, values in found.items()}

    def backends(self) -> list[str]:
        """Of the LSTMs."""
        return ['native', *self.pick(['triton'], [])]

    def command(self, *words: object, **variables: str) -> float:
        """Run a command of this repository to its end; returns its seconds.

        Raises:
            CalledProcessError: it failed.
        """
        begin = time.monotonic()
        subprocess.run([sys.executable, *map(str, words)], cwd=ROOT, env=dict(os.environ, **variables), check=True)
        return time.monotonic() - begin


def facts(place: Place) -> dict[str, Any]:
    """Versions, the dtype of an LSTM under autocast, the cost of a launch, and what a copy and a product reach."""
    device = place.device
    x, lstm = torch.randn(2, 4, 8, device=device), nn.LSTM(8, 8, batch_first=True).to(device)
    with torch.autocast(device.type, torch.bfloat16):
        # That of torch's own module, and of our operator, which casts first.
        dtypes = [str(lstm(x)[0].dtype), str(ops.bilstm1d(x, flat_weights(lstm)).dtype)]
    small, large = torch.zeros(1, device=device), torch.empty(2, place.pick(2**28, 2**20), device=device)
    side = place.pick(8192, 256)
    a = torch.randn(side, side, device=device, dtype=torch.bfloat16)
    calls = {
        'launch': lambda: small.add_(1),
        'copy': lambda: large[0].copy_(large[1]),
        'product': lambda: a @ a,
        'module': lambda: lstm(x),
    }
    seconds = place.times(calls)
    reached = dict(
        launch_us=1e6 * seconds['launch'],
        copy_gb_per_s=2 * large[0].nbytes / seconds['copy'] / 1e9,
        product_tflop_per_s=2 * side**3 / seconds['product'] / 1e12,
    )
    versions = dict(machine(device), cuda=torch.version.cuda, cudnn=torch.backends.cudnn.version())
    lines = [
        f'{versions["device"]}, torch {versions["torch"]}, CUDA {versions["cuda"]}, cuDNN {versions["cudnn"]}',
        f'LSTM under bfloat16 autocast: nn.LSTM answers in {dtypes[0]}, ours in {dtypes[1]}',
        ', '.join(f'{key} {value:.3g}' for key, value in reached.items()),
    ]
    return dict(versions=versions, autocast=dtypes, reached=reached, lines=lines)


def kernels(place: Place) -> dict[str, Any]:
    """Compile all Triton kernels for this GPU; what they spill stands in the log."""
    if place.dry:
        return dict(lines=['left out: compiled for a GPU alone'])
    capability = ''.join(map(str, torch.cuda.get_device_capability()))
    script = BENCHMARKS / 'compile_kernels.py'
    seconds = {
        f'{dtype}, {size}': place.command(script, '--capability', capability, '--dtype', dtype, '--head-size', size)
        for dtype in ('bfloat16', 'float32')
        for size in (96, 192)
    }
    return dict(seconds=seconds, lines=[f'compiled for sm_{capability} in {sum(seconds.values()):.0f} s'])


def training(place: Place) -> dict[str, Any]:
    """A real training through the command line, on one GPU over NCCL."""
    processes = place.pick(['--gpus', '1'], [])
    steps = ['train_cfg.max_iters=20', 'train_cfg.val_interval=20', 'default_hooks.checkpoint.interval=20']
    short = place.pick(steps, [step.replace('20', '2') for step in steps])
    seconds = train(place, 'upernet_seq2d_nano_shapes', 'training', *processes, options=short)
    return dict(
        seconds=seconds, lines=[f'mmseq train --amp ended after {seconds:.0f} s, start and validation included']
    )


def train(place: Place, config: str, name: str, *more: object, options: list[str], **variables: str) -> float:
    """`mmseq train CONFIG --amp`; returns its seconds."""
    folder = place.out / name
    data = shapes(place) if 'shapes' in config else {}
    fixed = ['--amp', '--anew', '--no-data-check', '--work-dir', folder, *more]
    return place.command(
        '-m', 'mmseq', 'train', f'configs/{config}.py', *fixed, '--cfg-options', *options, **data, **variables
    )


def shapes(place: Place) -> dict[str, str]:
    """The generated data, made by whichever part comes first; the environment that leads to it."""
    root = place.out / f'shapes_{"dry" if place.dry else "real"}'
    if not (root / 'shapes').exists():
        from mmseq.datasets.shapes import generate

        draft = place.out / f'draft_{time.monotonic_ns()}'
        generate(draft / 'shapes', train=place.pick(800, 8), val=place.pick(100, 2), seed=0)
        # Parts run side by side: the first one wins.
        with suppress(OSError):
            draft.rename(root)
    return dict(MMSEQ_DATA=str(root))


def proof(place: Place) -> dict[str, Any]:
    """Every kernel against its formula, forward and gradients, with memory full of NaN."""
    from gpu_bilstm2d import correctness
    from gpu_mlstm import check

    passed = {'bilstm2d': correctness(place.device.type, place.dry)['passed']}
    cases = check(place.device.type, place.dry)
    for kind in ('mlstm', 'shift2d'):
        passed[kind] = all(case['passed'] for case in cases if case['case'].startswith(kind))
    return dict(passed=passed, lines=[', '.join(f'{name} {"right" if ok else "WRONG"}' for name, ok in passed.items())])


def layers(place: Place) -> dict[str, Any]:
    """LSTM layers of Sequencer2D-S in microseconds per step: each backend, timm's wiring, eager and as a CUDA graph."""
    rows = []
    for side, channels, hidden in place.pick([(74, 192, 48), (37, 384, 96)], [(5, 16, 8)]):
        for batch in place.pick([2, 16], [2]):
            for training_step in (False, True):
                found = place.times(dict(layer_calls(place, side, channels, hidden, batch, training_step)))
                steps = {name: 1e6 * seconds / side for name, seconds in found.items()}
                rows.append(
                    dict(side=side, hidden=hidden, batch=batch, training=training_step, microseconds_per_step=steps)
                )
    lines = [
        f'{row["side"]}x{row["side"]}, D {row["hidden"]}, batch {row["batch"]}, '
        f'{"forward and backward" if row["training"] else "forward"}, us per step: '
        + ', '.join(f'{name} {value:.2f}' for name, value in row['microseconds_per_step'].items())
        for row in rows
    ]
    return dict(rows=rows, lines=lines)


def layer_calls(
    place: Place, side: int, channels: int, hidden: int, batch: int, training_step: bool
) -> Iterator[tuple[str, Callable[[], object]]]:
    """The ways to run one layer, under bfloat16 autocast."""
    from peers import lstm_peer

    torch.manual_seed(0)
    modules = [nn.LSTM(channels, hidden, bidirectional=True).to(place.device) for _ in range(2)]
    groups = [flat_weights(module) for module in modules]
    x = torch.randn(batch, side, side, channels, device=place.device, requires_grad=True)
    peer, inputs = lstm_peer((x, *groups))
    ways = {name: (lambda name=name: through(name, x, groups)) for name in place.backends()}
    for name, call in {**ways, "timm's wiring": peer}.items():
        step = as_step(place, call, inputs if call is peer else [x, *groups[0], *groups[1]], training_step)
        yield name, step
        if place.device.type == 'cuda':
            yield f'{name}, graph', replayed(step)


def through(name: str, x: Tensor, groups: list[list[Tensor]]) -> Tensor:
    with ops.use(name):
        return ops.bilstm2d(x, *groups)


def as_step(place: Place, call: Call, inputs: list[Tensor], training_step: bool) -> Callable[[], object]:
    """A forward pass without gradients, or forward and backward."""

    def step() -> object:
        with torch.set_grad_enabled(training_step), torch.autocast(place.device.type, torch.bfloat16):
            y = call()
        return torch.autograd.grad(y.float().sum(), inputs) if training_step else y

    return step


def replayed(step: Callable[[], object]) -> Callable[[], object]:
    """A call as a CUDA graph, which has no launches to wait for."""
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def backbones(place: Place) -> dict[str, Any]:
    """Ours by backend beside timm's, forward and backward under autocast: seconds and peak memory."""
    from peers import CONTENDERS, build

    names = ['seq2d_s', 'shiftvit_t', 'vil_t', 'timm_sequencer2d_s', 'timm_swin_t', 'timm_convnext_t']
    names = place.pick([*names, 'seq2d_s_triton', 'vil_t_triton', 'shiftvit_t_triton'], ['shiftvit_t'])
    rows = []
    for side in place.pick([512, 1024], [224]):
        for batch in place.pick([2, 16], [1]):
            for name in names:
                own = side // CONTENDERS[name].multiple * CONTENDERS[name].multiple
                model = build(name, own, None, place.device, torch.float32).train()
                images = torch.randn(batch, 3, own, own, device=place.device)
                step = as_step(place, partial(model, images), list(model.parameters()), True)
                peak = peak_on_gpu(step) if place.device.type == 'cuda' else None
                fits = peak is not None or place.device.type == 'cpu'
                rows.append(dict(name=name, side=side, batch=batch, peak_bytes=peak, seconds=None))
                if fits:
                    rows[-1]['seconds'] = place.times({name: step})[name]
                # At once: a part that is cut off keeps what it has.
                write_json(place.out / 'backbones.json', dict(rows=rows, lines=backbone_lines(rows)))
    return dict(rows=rows, lines=backbone_lines(rows))


def backbone_lines(rows: list[dict[str, Any]]) -> list[str]:
    return [
        f'{row["name"]}, {row["side"]} px x {row["batch"]}: '
        + (f'{1000 * row["seconds"]:.1f} ms' if row['seconds'] else 'the memory does not suffice')
        + (f', {row["peak_bytes"] / 2**20:.0f} MB' if row['peak_bytes'] else '')
        for row in rows
    ]


def heads(place: Place) -> dict[str, Any]:
    """Whole models with their loaders: seconds per iteration, the loader's share, memory."""
    names = ['upernet_seq2d_s_ade20k', 'mask_rcnn_seq2d_s_coco', 'upernet_vil_t_ade20k', 'mask_rcnn_vil_t_coco']
    lines, rows = [], {}
    for name in place.pick(names, ['mask_rcnn_seq2d_nano_shapes']):
        count = place.pick(20, 2)
        by_epoch = 'mask_rcnn' in name
        length = ['train_cfg.max_epochs=1'] if by_epoch else [f'train_cfg.max_iters={count}', 'val_cfg=None']
        options = [*length, 'default_hooks.logger.interval=2', 'train_dataloader.batch_size=2']
        weights = [] if 'nano' in name else ['model.backbone.init_cfg=None']
        try:
            train(place, name, f'heads_{name}', options=[*options, *weights])
            rows[name] = last_row(place.out / f'heads_{name}')
            lines.append(f'{name}: ' + ', '.join(f'{key} {value:.3g}' for key, value in rows[name].items()))
        except (subprocess.CalledProcessError, FileNotFoundError) as error:
            lines.append(f'{name}: failed, {error}')
        write_json(place.out / 'heads.json', dict(rows=rows, lines=lines))
    return dict(rows=rows, lines=lines)


def last_row(folder: Path) -> dict[str, float]:
    """Seconds per iteration and for data, and memory, of the last line that a training logged."""
    newest = max(folder.glob('*/vis_data/scalars.json'))
    rows = [json.loads(line) for line in newest.read_text().splitlines()]
    (*_, last) = (row for row in rows if 'loss' in row)
    return {key: last[key] for key in ('time', 'data_time', 'memory') if key in last}


def demo(place: Place) -> dict[str, Any]:
    """The demo's training by each backend of the LSTMs: its mIoU."""
    found, lines = {}, []
    for name in place.backends():
        options = place.pick(['train_cfg.max_iters=600'], ['train_cfg.max_iters=2', 'train_cfg.val_interval=2'])
        train(place, 'upernet_seq2d_nano_shapes', f'demo_{name}', options=options, MMSEQ_BACKEND=name)
        metrics = json.loads((place.out / f'demo_{name}' / 'metrics.json').read_text())['metrics']
        found[name] = metrics['mIoU'] / 100
        lines.append(f'{name}: mIoU {found[name]:.3f}')
        write_json(place.out / 'demo.json', dict(miou=found, lines=lines))
    return dict(miou=found, lines=lines)


def decision(place: Place) -> dict[str, Any]:
    """Whether Triton's LSTM becomes this device's default: right, faster at both batch sizes, and as good."""
    parts = {name: place.out / f'{name}.json' for name in ('proof', 'layers', 'demo')}
    absent = [name for name, path in parts.items() if not path.exists()]
    if absent or place.dry:
        return dict(default='native', lines=[f'native: no results of {", ".join(absent) or "a GPU"}'])
    proof_, layers_, demo_ = (json.loads(path.read_text()) for path in parts.values())
    gains = [
        row['microseconds_per_step']['native'] / row['microseconds_per_step']['triton']
        for row in layers_['rows']
        if row['training']
    ]
    miou = demo_['miou']
    reasons = {
        f'right: {proof_["passed"]["bilstm2d"]}': bool(proof_['passed']['bilstm2d']),
        f'gain of {min(gains):.2f} at least, {GAIN} wanted': min(gains) >= GAIN,
        f'mIoU {miou}': min(miou.values()) >= DEMO and max(miou.values()) - min(miou.values()) <= AGREEMENT,
    }
    default = 'triton' if len(miou) > 1 and all(reasons.values()) else 'native'
    return dict(default=default, lines=[f'{default}: {"; ".join(reasons)}'])


PARTS = (facts, kernels, training, proof, layers, backbones, heads, demo, decision)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('name', choices=[part.__name__ for part in PARTS])
    parser.add_argument('out', type=Path)
    parser.add_argument('--dry', action='store_true')
    args = parser.parse_args()
    (part,) = (one for one in PARTS if one.__name__ == args.name)
    write_json(args.out / f'{args.name}.json', part(Place(args.out, args.dry)))


if __name__ == '__main__':
    main()

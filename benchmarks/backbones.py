"""Our backbones beside their peers: time and peak memory against image size and batch, in alternating runs.

    python benchmarks/backbones.py --peers DIR            # or: make bench, which leaves the authors' code out
    python benchmarks/backbones.py --models seq2d_s timm_sequencer2d_s --sizes 504 --rounds 21

Every model gives its normalised last feature map from random images and weights. First, models that do the same as one
of ours are held to it with the same weights; nothing is timed, and the exit status is 1, if they differ. DIR holds the
authors' repositories: DIR/SPACH (github.com/microsoft/SPACH) and DIR/vision-lstm (github.com/NX-AI/vision-lstm, which
needs einops). Sides are rounded down to what a model can take. Training is forward and backward; the optimiser stands
in benchmarks/training.py. Peak memory is what a call takes beyond weights and image.

On a CPU every contender has a process of its own, set up as its project does: ours reuse the memory of large tensors,
as mmseq's runs do (mmseq/compat/allocator.py), and peers have torch's defaults, or the same with --same-allocator.
"""

import argparse
import json
import math
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import torch
from peers import CONTENDERS, build, difference

from mmseq.cli import run
from mmseq.compat.allocator import keep_memory
from mmseq.errors import InputError
from mmseq.files import write_json
from mmseq.measure.timing import OwnProcess, alternate, machine, peak_bytes, ratio, slope, spread

RESULTS = Path(__file__).parent / 'results'
SIZES = (224, 448, 672, 896, 1120, 1344, 1568, 1792, 2048)
TOLERANCE = 1e-5
# Pixels per side between which the growth with the number of pixels is judged.
GROWTH = (448, 1792)
PEERS = ('timm_', 'authors_')
# Seconds for the threads of the contender before to fall asleep.
REST = 0.05
Point = dict[str, Any]


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '--models', nargs='+', metavar='NAME', help=f'default: all that can be had of {list(CONTENDERS)}'
    )
    parser.add_argument('--peers', type=Path, metavar='DIR', help="folder with the authors' repositories")
    parser.add_argument('--sizes', nargs='+', type=int, default=SIZES, metavar='PX', help='sides of the square images')
    parser.add_argument('--batches', nargs='+', type=int, default=[1], metavar='N')
    parser.add_argument('--modes', nargs='+', choices=['inference', 'training'], default=['inference', 'training'])
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--dtype', choices=['float32', 'bfloat16'], help='default: float32 on a CPU, else bfloat16')
    parser.add_argument('--rounds', type=int, default=7, help='turns of every model at a point; at least 3')
    parser.add_argument('--budget', type=float, default=60, help='seconds for a point, after three rounds')
    parser.add_argument('--limit', type=float, default=15, help='a peer that takes longer gets no larger images (s)')
    parser.add_argument('--same-allocator', action='store_true', help='peers reuse the memory of large tensors as well')
    parser.add_argument('--no-memory', action='store_true', help='leave the measurement of memory out')
    parser.add_argument(
        '--add', action='store_true', help='to what --out holds of the same machine, whose points are kept or replaced'
    )
    parser.add_argument('--out', type=Path, help='default: benchmarks/results/backbones_cpu.json or its like')
    return parser.parse_args()


class Setting(NamedTuple):
    """How a contender runs."""

    peers: Path | None
    device: str
    dtype: str
    keep: bool


def make_call(name: str, side: int, batch: int, mode: str, setting: Setting) -> Callable[[], object]:
    """One inference or training step; a function of this module, since other processes make it too."""
    peers, device, dtype, keep = setting
    if keep:
        keep_memory()
    model = build(name, side, peers, torch.device(device), torch.float32).train(mode == 'training')
    images = torch.randn(batch, 3, side, side, device=device)
    low = dtype != 'float32'

    def forward() -> torch.Tensor:
        with torch.autocast(torch.device(device).type, getattr(torch, dtype)) if low else nullcontext():
            return model(images)

    def infer() -> None:
        with torch.no_grad():
            forward()

    def train() -> None:
        model.zero_grad(set_to_none=True)
        forward().float().square().mean().backward()

    return train if mode == 'training' else infer


def gate(names: list[str], peers: Path | None, device: torch.device) -> dict[str, float]:
    """Relative differences of the models that do the same; prints each."""
    found = {}
    for name in names:
        if CONTENDERS[name].mirrors:
            # A grid that is neither the smallest nor a power of two.
            found[name] = difference(
                name, CONTENDERS[name].multiple * (224 // CONTENDERS[name].multiple), peers, device
            )
            verdict = 'ok  ' if found[name] <= TOLERANCE else 'FAIL'
            print(f'{verdict} {name} and {CONTENDERS[name].mirrors} differ by {found[name]:.1e} of {TOLERANCE:.0e}')
    return found


def measure_point(names: list[str], side: int, batch: int, mode: str, args: argparse.Namespace) -> list[Point]:
    """Memory of each model, then times: of those that do the same in turns, of others alone."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(CONTENDERS[name].mirrors or name, []).append(name)
    return [point for group in groups.values() for point in measure_group(group, side, batch, mode, args)]


def measure_group(names: list[str], side: int, batch: int, mode: str, args: argparse.Namespace) -> list[Point]:
    """Models that do the same."""
    device = torch.device(args.device)
    points, calls = {}, {}
    for name in names:
        own = side // CONTENDERS[name].multiple * CONTENDERS[name].multiple
        points[name] = dict(model=name, side=own, nominal_side=side, batch=batch, mode=mode)
        keep = device.type == 'cpu' and (args.same_allocator or not name.startswith(PEERS))
        arguments = (name, own, batch, mode, Setting(args.peers, args.device, args.dtype, keep))
        if not args.no_memory:
            points[name]['peak_bytes'] = peak_bytes(make_call, arguments, device)
            if points[name]['peak_bytes'] is None:
                points[name]['left_out'] = 'the memory does not suffice'
                continue
        calls[name] = OwnProcess(make_call, arguments) if device.type == 'cpu' else make_call(*arguments)
    rest = REST if device.type == 'cpu' else 0.0
    try:
        times = alternate(calls, device, args.rounds, budget=args.budget, rest=rest) if calls else {}
    except ChildProcessError as error:
        # Each had enough memory alone.
        for name in calls:
            points[name]['left_out'] = str(error)
        times = {}
    for call in calls.values():
        if isinstance(call, OwnProcess):
            call.close()
    for name, values in times.items():
        points[name]['seconds'] = spread(values)
        ours = CONTENDERS[name].mirrors
        if ours in times:
            points[name]['ratio_to_ours'] = ratio(values, times[ours])
    return list(points.values())


def show(point: Point) -> None:
    """One line."""
    left = f'{point["model"]:20} {point["mode"]:9} {point["side"]:5} px x {point["batch"]}'
    if 'left_out' in point:
        print(f'{left}   {point["left_out"]}', flush=True)
        return
    memory = f'{point["peak_bytes"] / 2**20:8.0f} MB' if point.get('peak_bytes') is not None else ''
    text = f'{left} {point["seconds"]["median"] * 1000:9.1f} ms {memory}'
    if 'ratio_to_ours' in point:
        found = point['ratio_to_ours']
        text += f'   {found["median"]:.2f} of ours ({found["quartile_1"]:.2f} to {found["quartile_3"]:.2f})'
    print(text, flush=True)


def growth(points: list[Point]) -> list[dict[str, Any]]:
    """Slopes of log time and log memory against log pixels, for one image."""
    found = []
    for model, mode in dict.fromkeys((point['model'], point['mode']) for point in points):
        chosen = [
            point
            for point in points
            if (point['model'], point['mode'], point['batch']) == (model, mode, 1)
            and GROWTH[0] <= point['nominal_side'] <= GROWTH[1]
            and 'seconds' in point
        ]
        # Three sizes leave one degree of freedom; neighbours can be rounded to the same.
        if len({point['side'] for point in chosen}) < 3:
            continue
        pixels = [point['side'] ** 2 for point in chosen]
        row = dict(model=model, mode=mode, time=slope(pixels, [point['seconds']['median'] for point in chosen]))
        if all(point.get('peak_bytes') for point in chosen):
            row['memory'] = slope(pixels, [point['peak_bytes'] for point in chosen])
        found.append(row)
        text = '  '.join(
            f'{what} {row[what]["slope"]:.2f} ({row[what]["low"]:.2f} to {row[what]["high"]:.2f})'
            for what in ('time', 'memory')
            if what in row
        )
        print(f'{model:20} {mode:9} grows with the pixels to the power of: {text}')
    return found


def spot(point: Point) -> tuple[Any, ...]:
    """What a point is about."""
    return tuple(point[key] for key in ('model', 'mode', 'batch', 'nominal_side'))


def earlier(out: Path, result: dict[str, Any]) -> list[Point]:
    """The points of a file of results, whose differences join the new ones.

    Raises:
        InputError: they were measured on another machine, with other versions, or in another format.
    """
    if not out.is_file():
        return []
    found = json.loads(out.read_text())
    keys = ('device', 'threads', 'torch', 'python')
    if [found['machine'][key] for key in keys] != [result['machine'][key] for key in keys]:
        raise InputError(f'--add: {out} was measured on another machine or with other versions; give another --out')
    for key in ('dtype', 'allocator'):
        if found.get(key) != result[key]:
            raise InputError(f'--add: {out} has {key} {found.get(key)}; give another --out')
    result['differences'] = {**found['differences'], **result['differences']}
    return found['points']


def main() -> int:
    args = parse()
    check(args)
    device = torch.device(args.device)
    names = args.models or [
        name
        for name, one in CONTENDERS.items()
        if (args.peers or not one.folder) and (device.type == 'cuda' or not one.gpu_only)
    ]
    kind = 'backbones_same_allocator' if args.same_allocator else 'backbones'
    kind += '_batches' if min(args.batches) > 1 else ''
    out = args.out or RESULTS / f'{kind}_{"gpu" if device.type == "cuda" else "cpu"}.json'
    print(json.dumps(machine(device)))
    differences = gate(names, args.peers, device)
    if any(not value <= TOLERANCE for value in differences.values()):
        print('nothing was timed: models that should do the same do not')
        return 1
    result = dict(
        machine=machine(device),
        dtype=args.dtype,
        allocator=args.allocator,
        tolerance=TOLERANCE,
        differences=differences,
    )
    points = result['points'] = earlier(out, result) if args.add else []
    slow: set[tuple[str, str, int]] = set()
    for mode in args.modes:
        for batch in args.batches:
            for side in sorted(args.sizes):
                chosen = [name for name in names if (name, mode, batch) not in slow]
                new = measure_point(chosen, side, batch, mode, args)
                for point in new:
                    show(point)
                    ours = not point['model'].startswith(PEERS)
                    if not ours and point.get('seconds', dict(median=math.inf))['median'] > args.limit:
                        slow.add((point['model'], mode, batch))
                done = {spot(point) for point in new}
                points[:] = [point for point in points if spot(point) not in done] + new
                write_json(out, result)
    result['growth'] = growth(points)
    print(write_json(out, result))
    return 0


def check(args: argparse.Namespace) -> None:
    """Raises InputError for what cannot be measured."""
    args.allocator = 'same' if args.same_allocator else 'own'
    args.dtype = args.dtype or ('bfloat16' if args.device.startswith('cuda') else 'float32')
    if args.device.startswith('cuda') and not torch.cuda.is_available():
        raise InputError(f'--device {args.device}: there is no CUDA GPU here; use cpu')
    if min(args.sizes) < 224 or min(args.batches) < 1 or args.rounds < 3:
        raise InputError('--sizes begin at 224 px, --batches at 1 and --rounds at 3')
    for name in args.models or ():
        if name not in CONTENDERS:
            raise InputError(f'--models {name}: unknown; choose of {", ".join(CONTENDERS)}')
        if CONTENDERS[name].gpu_only and not args.device.startswith('cuda'):
            raise InputError(f'--models {name} needs --device cuda')
        if CONTENDERS[name].folder and not args.peers:
            raise InputError(
                f"--models {name} needs --peers DIR with the authors' repository in {CONTENDERS[name].folder}"
            )


if __name__ == '__main__':
    run(main)

"""The Triton kernels of bilstm2d on a GPU: correctness first, then timing against nn.LSTM and the native backend.

    python benchmarks/gpu_bilstm2d.py --out work_dirs/gpu_bilstm2d

Writes correctness.json, and timing.json if every case of the first passed; exit status 1 if one did not, 2 without a
CUDA GPU. With --interpret the correctness part runs at small sizes in Triton's interpreter, on the CPU.
"""

import argparse
import json
import os
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path
from unittest import mock

import torch
from precision import tf32
from torch import Tensor, nn

from mmseq import ops
from mmseq.cli import run as run_command
from mmseq.errors import InputError
from mmseq.layers.recurrent2d import flat_weights
from mmseq.measure.timing import alternate, machine, peak_on_gpu, ratio, spread
from mmseq.ops.bilstm2d.reference import bilstm2d_reference

CUDA = torch.device('cuda')
# Seconds of a turn.
SLOT = 0.05
SIZES = [(2, 1, 1), (2, 7, 5), (2, 37, 73), (1, 73, 73), (1, 128, 96)]
HIDDEN = [8, 48, 64, 96, 128, 192]
MODES = ['float32', 'tf32', 'bfloat16', 'float16']
# float32 against float64, as a share of the norm: sums of up to 768 products over up to 128 steps.
FLOAT32_BOUND = 1e-5
# Layers of Sequencer2D-s: images, side of the token grid, channels, hidden.
LAYERS = {
    '512 px, first stage': (16, 74, 192, 48),
    '512 px, other stages': (16, 37, 384, 96),
    '1024 px, first stage': (4, 147, 192, 48),
    '1024 px, other stages': (4, 74, 384, 96),
}
Groups = tuple[Tensor, list[Tensor], list[Tensor]]


def make(size: Sequence[int], channels: int, hidden: int, device: str) -> Groups:
    """x (B, H, W, C) and the weights of both LSTMs in float32."""
    lstms = [nn.LSTM(channels, hidden, bidirectional=True) for _ in range(2)]
    weights = [[w.detach().to(device).requires_grad_() for w in flat_weights(lstm)] for lstm in lstms]
    return torch.randn(*size, channels, device=device).requires_grad_(), *weights


def cast(groups: Groups, dtype: torch.dtype) -> Groups:
    """The same values as new leaves."""
    x, vertical, horizontal = ([t.detach().to(dtype).requires_grad_() for t in g] for g in ([groups[0]], *groups[1:]))
    return x[0], vertical, horizontal


def forward_backward(function: Callable[..., Tensor], groups: Groups, out_grad: Tensor) -> list[Tensor]:
    """The output and the gradients of x and of all weights."""
    y = function(*groups)
    return [y.detach(), *torch.autograd.grad(y, [groups[0], *groups[1], *groups[2]], out_grad.to(y.dtype))]


def triton_scans(*groups: Tensor | list[Tensor]) -> Tensor:
    with ops.use('triton'):
        return ops.bilstm2d(*groups)


def native_scans(*groups: Tensor | list[Tensor]) -> Tensor:
    with ops.use('native'):
        return ops.bilstm2d(*groups)


@contextmanager
def poisoned() -> Iterator[None]:
    """Uninitialised memory that the operator asks for holds NaN."""

    def poison(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
        return lambda *args, **options: make(*args, **options).fill_(float('nan'))

    with (
        mock.patch.object(torch, 'empty_like', poison(torch.empty_like)),
        mock.patch.object(Tensor, 'new_empty', poison(Tensor.new_empty)),
    ):
        yield


def errors(got: list[Tensor], judges: list[Tensor]) -> list[float]:
    """Norms of the differences over the judges' norms, which are taken as 1e-3 at least: some gradients are 0."""
    return [((a.double() - b).norm() / b.norm().clamp_min(1e-3)).item() for a, b in zip(got, judges)]


def judge_case(size: Sequence[int], hidden: int, mode: str, device: str) -> dict:
    """One size, hidden size and precision: the worst error of output and gradients, and what was allowed."""
    torch.manual_seed(0)
    dtype = getattr(torch, 'float32' if mode == 'tf32' else mode)
    groups = make(size, 24, hidden, device)
    if sum(size) % 2:
        # Channels-last seen as (B, H, W, C): strides that are not those of a contiguous tensor.
        x = groups[0].detach().permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1).requires_grad_()
        groups = x, *groups[1:]
    exact = cast(groups, torch.float64)
    out_grad = torch.randn(*size, 4 * hidden, device=device)
    judges = forward_backward(bilstm2d_reference, exact, out_grad.double())
    with tf32(mode == 'tf32'), poisoned():
        mine = errors(forward_backward(triton_scans, cast(groups, dtype), out_grad), judges)
        with torch.no_grad():
            mine += errors([triton_scans(*cast(groups, dtype))], judges)
    allowed = [FLOAT32_BOUND] * len(mine)
    if mode != 'float32':
        with tf32(mode == 'tf32'):
            torchs = errors(forward_backward(bilstm2d_reference, cast(groups, dtype), out_grad), judges)
        allowed = [max(2 * error, FLOAT32_BOUND) for error in [*torchs, torchs[0]]]
    worst = max(range(len(mine)), key=lambda index: mine[index] / allowed[index])
    return {
        'size': list(size),
        'hidden': hidden,
        'mode': mode,
        'error': mine[worst],
        'allowed': allowed[worst],
        # A comparison with NaN is false: poison that was read fails here.
        'passed': all(error <= bound for error, bound in zip(mine, allowed)),
    }


def correctness(device: str, small: bool) -> dict:
    """Every hidden size, precision and size; each kernel may compile at the first size alone."""
    import triton

    sizes, widths = ([(2, 1, 1), (1, 5, 3)], [8, 48]) if small else (SIZES, HIDDEN)
    modes = [mode for mode in MODES if mode != 'tf32'] if small else MODES
    compiled: list[str] = []

    def note(*, fn, **_) -> None:
        compiled.append(fn.name)

    # Nothing is compiled in the interpreter; Tritons before 3.4 have no such hook, and compilations are not counted.
    if hasattr(triton, 'knobs'):
        triton.knobs.runtime.jit_post_compile_hook = note
    cases = []
    for hidden, mode in product(widths, modes):
        for index, size in enumerate(sizes):
            before = len(compiled)
            case = judge_case(size, hidden, mode, device)
            case['compiled'] = compiled[before:]
            case['passed'] &= index == 0 or not case['compiled']
            cases.append(case)
            verdict = 'ok  ' if case['passed'] else 'FAIL'
            shown = 'x'.join(map(str, size))
            print(f'{verdict} {mode:9} D={hidden:<4} {shown:10} error {case["error"]:.1e} of {case["allowed"]:.1e}')
    return {'passed': all(case['passed'] for case in cases), 'cases': cases}


def rates() -> dict[str, float]:
    """What this GPU reaches in this run: bytes per second of a large copy, operations per second of a large product."""
    source = torch.empty(2**30, dtype=torch.uint8, device='cuda')
    target = torch.empty_like(source)
    a, b = (torch.randn(8192, 8192, dtype=torch.bfloat16, device='cuda') for _ in range(2))
    times = alternate({'copy': lambda: target.copy_(source), 'product': lambda: a @ b}, CUDA, rounds=5, slot=SLOT)
    return {
        'bytes_per_s': 2 * source.numel() / statistics.median(times['copy']),
        'operations_per_s': 2 * 8192**3 / statistics.median(times['product']),
    }


def counted(batch: int, side: int, channels: int, hidden: int) -> dict[str, tuple[float, float]]:
    """(bytes, operations) that the Triton backend's design needs in bfloat16; weights are small beside them.

    Numbers per pixel: C of x, G = 16 D of gates, S = 4 D of states.
    """
    c, g, s, pixels = channels, 16 * hidden, 4 * hidden, batch * side * side
    projection, recurrence = 2 * c * g, 2 * g * hidden
    # Read x, write and read the projection, write the states; training also writes gates and cells.
    inference = c + 2 * g + s, projection + recurrence
    kept = g + s
    # Scan: read the states' gradient, gates and cells, write the gates' gradient G. Shift the states for the weights'
    # gradient (zero, read, write) and read them. Then G is read for weight_hh, for x, for weight_ih and for the bias.
    backward = (s + g + s + g) + (3 * s + s + g) + (g + c) + (g + c) + g, 2 * projection + 2 * recurrence
    return {
        'inference': (2 * pixels * inference[0], pixels * inference[1]),
        'training': (2 * pixels * (inference[0] + kept + backward[0]), pixels * (inference[1] + backward[1])),
    }


def scan_alone(groups: Groups) -> list[dict]:
    """The kernels without the products around them, for other cuts of the work too: what to try next."""
    from triton.runtime.errors import OutOfResources

    from mmseq.ops.bilstm2d import triton_impl

    batch, side, _, _ = groups[0].shape
    weight_hh = torch.stack([*groups[1][1::4], *groups[2][1::4]]).detach()
    scans, wide, hidden = weight_hh.shape
    projected = torch.randn(batch, side, side, scans * wide, device='cuda', dtype=weight_hh.dtype)
    out, gates, cells = triton_impl.scan(projected, weight_hh, 2, True)
    functions = {
        'forward': lambda: triton_impl.scan(projected, weight_hh, 2, False),
        'backward': lambda: triton_impl.scan_backward(out, weight_hh, gates, cells, 2),
    }
    chosen = triton_impl.plan(projected, hidden)
    rows = []
    for count, warps in product((16, 32, 64), (4, 8)):
        cut = replace(chosen, rows=count, warps=warps)
        row = {'rows': count, 'warps': warps, 'default': cut == chosen}
        with mock.patch.object(triton_impl, 'plan', lambda example, hidden, cut=cut: cut):
            try:
                times = alternate(functions, CUDA, rounds=5, slot=SLOT)
            except OutOfResources as error:
                rows.append(row | {'refused': str(error)})
                continue
        for name, values in times.items():
            row[f'{name}_s'] = statistics.median(values)
            row[f'{name}_microseconds_per_step'] = row[f'{name}_s'] * 1e6 / side
        rows.append(row)
    return rows


def time_layer(layer: tuple[int, int, int, int], reached: dict[str, float]) -> dict:
    """One layer in bfloat16: every candidate in turn, inference and training, with the share of the roofline."""
    # Imported here: it brings modules that read whether kernels are interpreted before --interpret is seen.
    from peers import lstm_peer

    batch, side, channels, hidden = layer
    groups = cast(make((batch, side, side), channels, hidden, 'cuda'), torch.bfloat16)
    inputs = [groups[0], *groups[1], *groups[2]]
    out_grad = torch.randn(batch, side, side, 4 * hidden, device='cuda', dtype=torch.bfloat16)
    candidates = {
        'triton': (lambda: triton_scans(*groups), inputs),
        'native': (lambda: native_scans(*groups), inputs),
        'nn.LSTM': lstm_peer(groups),
    }
    result: dict = {
        'layer': dict(zip(('batch', 'side', 'channels', 'hidden'), layer)),
        'scan_alone': scan_alone(groups),
    }
    for kind, (moved, operations) in counted(*layer).items():
        if kind == 'inference':
            functions = {name: torch.no_grad()(run) for name, (run, _) in candidates.items()}
        else:
            functions = {
                name: lambda run=run, wanted=wanted: torch.autograd.grad(run(), wanted, out_grad)
                for name, (run, wanted) in candidates.items()
            }
        memory = {name: peak_on_gpu(function) for name, function in functions.items()}
        times = alternate(functions, CUDA, rounds=11, slot=SLOT)
        bound = max(moved / reached['bytes_per_s'], operations / reached['operations_per_s'])
        result[kind] = {
            'seconds': {name: spread(values) for name, values in times.items()},
            'peak_bytes': memory,
            'times_as_fast_as': {name: ratio(times[name], times['triton']) for name in ('native', 'nn.LSTM')},
            'bytes': moved,
            'operations': operations,
            'roofline_s': bound,
            'share_of_roofline': bound / statistics.median(times['triton']),
        }
    return result


def described() -> dict:
    import triton

    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    return {**machine(device), 'triton': triton.__version__, 'cuda': str(torch.version.cuda)}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], epilog='example: python benchmarks/gpu_bilstm2d.py --out work_dirs/gpu'
    )
    parser.add_argument('--out', type=Path, default=Path('work_dirs/gpu_bilstm2d'), help='folder of the results')
    parser.add_argument('--interpret', action='store_true', help='correctness alone, small sizes, on the CPU')
    args = parser.parse_args()
    if args.interpret:
        # Read when the kernels are imported, which is at the backend's first use.
        os.environ['TRITON_INTERPRET'] = '1'
    elif not torch.cuda.is_available():
        raise InputError('no CUDA GPU here: run this where there is one, or with --interpret for correctness alone')
    args.out.mkdir(parents=True, exist_ok=True)
    checked = correctness('cpu' if args.interpret else 'cuda', args.interpret)
    (args.out / 'correctness.json').write_text(json.dumps({'machine': described(), **checked}, indent=2) + '\n')
    # Figures of an earlier run must not stand beside this run's verdict.
    (args.out / 'timing.json').unlink(missing_ok=True)
    if not checked['passed']:
        print(f'the kernels are not right: no timing; see {args.out / "correctness.json"}')
        return 1
    if args.interpret:
        return 0
    reached = rates()
    layers = {}
    for name, layer in LAYERS.items():
        layers[name] = time_layer(layer, reached)
        for kind in ('inference', 'training'):
            ratios = {k: f'{v["median"]:.2f}' for k, v in layers[name][kind]['times_as_fast_as'].items()}
            print(f'{name}, {kind}: times as fast as {ratios}, roofline {layers[name][kind]["share_of_roofline"]:.0%}')
    timing = {'machine': described(), 'reached': reached, 'layers': layers}
    (args.out / 'timing.json').write_text(json.dumps(timing, indent=2) + '\n')
    return 0


if __name__ == '__main__':
    run_command(main)

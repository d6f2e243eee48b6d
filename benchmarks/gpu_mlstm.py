"""The Triton kernels of mlstm and shift2d on a GPU: first whether they are right, then how fast they are.

    python benchmarks/gpu_mlstm.py --out work_dirs/gpu_mlstm

Nothing is timed, and the exit status is 1, when a kernel misses its tolerance: in float32 relative errors of 1e-5
forward and 1e-4 in gradients, in half precision twice the error of the quadratic form whose products have that dtype.
Timing alternates between backends; medians, quartiles and peak memory go to results.json, with each kernel's share of
the roofline: operations and bytes counted here, against rates of a product and a copy measured in the same run.
``--interpret`` checks small sizes on the CPU instead.
"""

import argparse
import os
import platform
import statistics
import subprocess
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import torch
from precision import tf32
from torch import Tensor
from torch.nn import functional as F

from mmseq import ops
from mmseq.cli import run
from mmseq.errors import InputError
from mmseq.files import write_json
from mmseq.ops.shift2d.reference import shift2d_reference

CHUNK = 64
DTYPES = {'float32': torch.float32, 'bfloat16': torch.bfloat16, 'float16': torch.float16}
HEADS = 4
# Gates of a fresh Vision-LSTM, gates that keep everything, and large gates of both signs.
GATES = {'usual': (1, 0, 1, 4), 'keeps': (1, 0, 1, 30), 'all kinds': (30, 0, 30, 0)}
# Steps and gates of the checks.
FULL = [(4096, 'usual'), (4096, 'keeps'), (1000, 'all kinds')]
SMALL = [(70, 'usual')]
MAPS = [(2, 1, 1, 96), (1, 7, 5, 24), (2, 37, 73, 96), (1, 73, 73, 48), (1, 128, 96, 96)]


def quadratic(q: Tensor, k: Tensor, v: Tensor, igate: Tensor, fgate: Tensor) -> Tensor:
    """The form that the authors released; gates may have a wider dtype than the products."""
    length, d = q.shape[2:]
    forgotten = F.logsigmoid(fgate).cumsum(-1)
    log_weight = forgotten[..., :, None] - forgotten[..., None, :] + igate[..., None, :]
    later = torch.ones(length, length, dtype=torch.bool, device=q.device).triu(1)
    log_weight = log_weight.masked_fill(later, -torch.inf)
    largest = log_weight.amax(-1, keepdim=True)
    scores = (q @ k.mT).to(fgate.dtype) / d**0.5 * (log_weight - largest).exp()
    norm = torch.maximum(scores.sum(-1, keepdim=True).abs(), (-largest).exp()) + 1e-6
    return (scores / norm).to(v.dtype) @ v


def make(batch: int, length: int, d: int, dtype: torch.dtype, gates: str, device: str) -> list[Tensor]:
    """Inputs as the layer lays them: channels of a head last, heads next to last."""
    q, k, v = torch.randn(3, batch, length, HEADS, d, device=device).to(dtype).transpose(2, 3)
    i_scale, i_mean, f_scale, f_mean = GATES[gates]
    igate, fgate = torch.randn(2, batch, HEADS, length, device=device)
    igate, fgate = i_scale * igate + i_mean, f_scale * fgate + f_mean
    if i_scale > 1:
        # Of one sign, or no float32 is exact enough where large gates leave one step and exp(-m) bounds nothing.
        q, k = q.abs(), k.abs()
    return [q, k, v, igate, fgate]


def with_gradients(function: Callable[..., Tensor], inputs: list[Tensor], grad: Tensor) -> list[Tensor]:
    inputs = [x.detach().requires_grad_() for x in inputs]
    y = function(*inputs)
    return [y.detach(), *torch.autograd.grad(y, inputs, grad.to(y.dtype))]


def triton_mlstm(*inputs: Tensor) -> Tensor:
    with ops.use('triton'):
        return ops.mlstm(*inputs)


@tf32(False)
def check_mlstm(length: int, d: int, dtype: torch.dtype, gates: str, device: str) -> dict:
    """Errors relative to the quadratic form in float64, and what is allowed."""
    torch.manual_seed(0)
    inputs = make(1, length, d, dtype, gates, device)
    grad = torch.randn(1, HEADS, length, d, device=device)
    right = with_gradients(quadratic, [x.double() for x in inputs], grad)
    largest = max(x.norm().item() for x in right[1:])

    def errors(found: list[Tensor]) -> list[float]:
        # Gradients that large gates leave next to nothing of are rounding.
        floors = [0, *4 * [1e-3 * largest], 0]
        return [((x - y).norm() / (y.norm() + floor)).item() for x, y, floor in zip(found, right, floors)]

    found = errors(with_gradients(triton_mlstm, inputs, grad))
    allowed = [1e-5] + 5 * [1e-4]
    if dtype != torch.float32:
        allowed = [2 * error for error in errors(with_gradients(quadratic, inputs, grad))]
    # Not a number is not allowed either.
    passed = all(a <= b for a, b in zip(found, allowed))
    case = f'mlstm {length} steps, d {d}, {str(dtype).removeprefix("torch.")}, gates {gates}'
    return {'case': case, 'errors': found, 'allowed': allowed, 'passed': passed}


def check_shift(size: tuple[int, ...], dtype: torch.dtype, device: str) -> dict:
    """Bit for bit, forward and gradient, from channels-last and channels-first memory."""
    x = torch.randn(size, device=device).to(dtype)
    grad = torch.randn(size, device=device).to(dtype)
    passed = True
    for given in (x, x.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)):
        right = with_gradients(lambda x: shift2d_reference(x, 12), [given], grad)
        with ops.use('triton'):
            found = with_gradients(lambda x: ops.shift2d(x, 12), [given], grad)
        passed &= all(torch.equal(a, b) for a, b in zip(found, right))
    return {'case': f'shift2d {size}, {str(dtype).removeprefix("torch.")}', 'passed': passed}


def check(device: str, small: bool) -> list[dict]:
    done = []
    for d in (96, 192, 384) if not small else (16, 96):
        for dtype in DTYPES.values():
            for length, gates in SMALL if small else FULL:
                done.append(check_mlstm(length, d, dtype, gates, device))
                print(f'{"ok  " if done[-1]["passed"] else "FAIL"} {done[-1]["case"]}', flush=True)
    for size in MAPS if not small else MAPS[:2]:
        for dtype in DTYPES.values():
            done.append(check_shift(size, dtype, device))
            print(f'{"ok  " if done[-1]["passed"] else "FAIL"} {done[-1]["case"]}', flush=True)
    return done


def measure(functions: dict[str, Callable[[], object]], rounds: int) -> dict[str, dict]:
    """Seconds and peak bytes of each, in alternating runs; what does not fit into memory is left out."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    peaks = {}
    for _ in range(3):
        for name, function in functions.items():
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            try:
                function()
            except torch.OutOfMemoryError:
                times.pop(name, None)
            peaks[name] = torch.cuda.max_memory_allocated() - before
    for _ in range(rounds):
        for name in times:
            begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            begin.record()
            functions[name]()
            end.record()
            torch.cuda.synchronize()
            times[name].append(begin.elapsed_time(end) / 1e3)
    result = {}
    for name, seconds in times.items():
        low, median, high = statistics.quantiles(seconds, n=4)
        result[name] = {'median_s': median, 'quartiles_s': [low, high], 'peak_bytes': peaks[name]}
    return result


def rates(rounds: int) -> dict[str, float]:
    """Bytes per second of a copy of 1 GiB, and operations per second of products of 8192 x 8192."""
    source, target = torch.empty(2, 2**28, device='cuda')
    found = {'bytes': 2 * source.numel() * 4 / measure({'': lambda: target.copy_(source)}, rounds)['']['median_s']}
    for name, dtype in DTYPES.items():
        a, b = torch.randn(2, 8192, 8192, device='cuda').to(dtype)
        # Three TF32 products of the kernels make one of float32; torch is asked for one TF32 product.
        torch.set_float32_matmul_precision('high')
        found[name] = 2 * 8192**3 / measure({'': lambda a=a, b=b: a @ b}, rounds)['']['median_s']
        torch.set_float32_matmul_precision('highest')
    found['float32'] /= 3
    # Products of float16 run as TF32: see mmseq/ops/triton_common.py.
    found['float16'] = 3 * found['float32']
    return found


def work(d: int, item: int, training: bool) -> tuple[float, float]:
    """Operations and bytes per step and head, as the kernels are written; tiles read twice by one kernel count once."""
    operations = 4 * CHUNK * d + 4 * d * d
    moved = 5 * d * item + 4 * d + 8 * d * d / CHUNK
    if training:
        operations += 12 * CHUNK * d + 10 * d * d
        moved += 11 * d * item + 20 * d + 20 * d * d / CHUNK
    return operations, moved


def time_mlstm(name: str, d: int, batch: int, length: int, measured: dict[str, float], rounds: int) -> list[dict]:
    inputs = [x.requires_grad_() for x in make(batch, length, d, DTYPES[name], 'usual', 'cuda')]
    grad = torch.randn(batch, length, HEADS, d, device='cuda').transpose(1, 2)

    def call(function: Callable[..., Tensor], training: bool) -> Callable[[], object]:
        def inference() -> Tensor:
            with torch.no_grad():
                return function(*inputs)

        return (lambda: with_gradients(function, inputs, grad)) if training else inference

    def chunkwise(*inputs: Tensor) -> Tensor:
        with ops.use('chunkwise'):
            return ops.mlstm(*inputs)

    found = []
    for training in (False, True):
        functions = {'triton': triton_mlstm, 'chunkwise': chunkwise, 'quadratic': quadratic}
        times = measure({key: call(function, training) for key, function in functions.items()}, rounds)
        operations, moved = (x * batch * HEADS * length for x in work(d, DTYPES[name].itemsize, training))
        bounds = {'operations_s': operations / measured[name], 'bytes_s': moved / measured['bytes']}
        share = max(bounds.values()) / times['triton']['median_s']
        case = {'dtype': name, 'd': d, 'batch': batch, 'length': length, 'training': training}
        found.append({'operator': 'mlstm', **case, 'times': times, 'bounds': bounds, 'share_of_roofline': share})
        print(describe(found[-1]), flush=True)
    return found


def time_shift(name: str, size: tuple[int, ...], measured: dict[str, float], rounds: int) -> dict:
    x = torch.randn(size, device='cuda').to(DTYPES[name])

    def call(backend: str) -> Callable[[], object]:
        def once() -> Tensor:
            with ops.use(backend):
                return ops.shift2d(x, 12)

        return once

    times = measure({'triton': call('triton'), 'native': call('native'), 'copy': x.clone}, rounds)
    bounds = {'bytes_s': 2 * x.numel() * x.itemsize / measured['bytes']}
    share = bounds['bytes_s'] / times['triton']['median_s']
    case = {'operator': 'shift2d', 'dtype': name, 'size': size}
    case |= {'times': times, 'bounds': bounds, 'share_of_roofline': share}
    print(describe(case), flush=True)
    return case


def describe(case: dict) -> str:
    kept = {key: value for key, value in case.items() if key not in ('times', 'bounds', 'share_of_roofline')}
    times = ', '.join(f'{name} {1e3 * x["median_s"]:.3f} ms' for name, x in case['times'].items())
    return f'{kept}: {times}; roofline {case["share_of_roofline"]:.0%}'


def machine() -> dict[str, str]:
    commit = subprocess.run(['git', 'rev-parse', 'HEAD'], cwd=Path(__file__).parent, capture_output=True, text=True)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor()
    versions = {'torch': torch.__version__, 'triton': version('triton'), 'python': platform.python_version()}
    return {'device': device, **versions, 'commit': commit.stdout.strip()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', type=Path, default=Path('work_dirs/gpu_mlstm'), help='folder for results.json')
    parser.add_argument('--rounds', type=int, default=30, help='runs of each backend per case')
    parser.add_argument('--interpret', action='store_true', help='only check, at small sizes, in the interpreter')
    args = parser.parse_args()
    if args.rounds < 2:
        raise InputError(f'--rounds {args.rounds}: quartiles need at least 2')
    if args.interpret:
        # Read when triton is imported, which is later than this.
        os.environ['TRITON_INTERPRET'] = '1'
    elif not torch.cuda.is_available():
        raise InputError('no CUDA GPU here: run this on one, or with --interpret to check the kernels on the CPU')
    result = {'machine': machine(), 'checks': check('cpu' if args.interpret else 'cuda', args.interpret)}
    passed = all(case['passed'] for case in result['checks'])
    if passed and not args.interpret:
        result['rates'] = rates(args.rounds)
        result['timings'] = [
            case
            for name in DTYPES
            for d, batch in ((96, 8), (192, 8), (384, 4))
            for length in (1024, 4096)
            for case in time_mlstm(name, d, batch, length, result['rates'], args.rounds)
        ]
        sizes = [(16, 56, 56, 96), (8, 128, 128, 96), (8, 32, 32, 384)]
        result['timings'] += [time_shift(name, size, result['rates'], args.rounds) for name in DTYPES for size in sizes]
    path = write_json(args.out / 'results.json', result)
    print(f'{path}: ' + ('all right' if passed else 'not right, so nothing was timed'))
    return 0 if passed else 1


if __name__ == '__main__':
    run(main)

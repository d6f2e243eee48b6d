"""Our operators beside the way others do the same work, forward and with gradients, in alternating runs.

    python benchmarks/ops.py                       # or: make bench
    python benchmarks/ops.py --only bilstm2d --rounds 21

Sizes are those of Sequencer2D-S, ShiftViT-T and ViL-T at images of 512 and 1024 px. Every contender is first held to
the formula in float64; nothing is timed, and the exit status is 1, if one misses a relative 1e-4. Beside the backends
that run here: two nn.LSTM modules wired as Sequencer2D's authors and timm wire them; the shift as slices of a
channels-first map of zeros; the quadratic form of the mLSTM; group norm, alone and with 1x1
convolutions and the residual, of channels-first maps; torch's group norm of the heads.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from gpu_mlstm import make as make_mlstm
from gpu_mlstm import quadratic
from peers import lstm_peer
from precision import tf32
from torch import Tensor, nn
from torch.nn import functional as F

from mmseq import ops
from mmseq.cli import run
from mmseq.compat.allocator import keep_memory
from mmseq.files import write_json
from mmseq.layers.recurrent2d import flat_weights
from mmseq.measure.timing import alternate, machine, ratio, spread
from mmseq.ops.bilstm1d import bilstm1d_reference
from mmseq.ops.bilstm2d.reference import bilstm2d_reference
from mmseq.ops.global_norm.reference import global_norm_reference
from mmseq.ops.global_norm_mlp.reference import global_norm_mlp_reference
from mmseq.ops.head_norm.reference import head_norm_reference
from mmseq.ops.shift2d.reference import shift2d_reference

RESULTS = Path(__file__).parent / 'results'
TOLERANCE = 1e-4
GROUPS = 12
# A function of nothing, and the tensors that it has gradients for.
Contender = tuple[Callable[[], Tensor], list[Tensor]]


def backend(name: str, call: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """The call, on one backend and no other."""

    def run_it() -> Tensor:
        with ops.use(name):
            return call()

    return run_it


def bilstm2d(side: int, channels: int, hidden: int, device: str) -> tuple[dict[str, Contender], Contender]:
    lstms = [nn.LSTM(channels, hidden, bidirectional=True).to(device) for _ in range(2)]
    groups = [[w.detach().requires_grad_() for w in flat_weights(lstm)] for lstm in lstms]
    x = torch.randn(1, side, side, channels, device=device).requires_grad_()
    inputs = [x, *groups[0], *groups[1]]
    exact = [t.detach().double().requires_grad_() for t in inputs]
    found = {'native': (backend('native', lambda: ops.bilstm2d(x, *groups)), inputs)}
    if device == 'cuda':
        found['triton'] = (backend('triton', lambda: ops.bilstm2d(x, *groups)), inputs)
    found['nn.LSTM'] = lstm_peer((x, *groups))
    return found, (lambda: bilstm2d_reference(exact[0], exact[1:9], exact[9:]), exact)


def bilstm1d(side: int, channels: int, hidden: int, device: str) -> tuple[dict[str, Contender], Contender]:
    lstm = nn.LSTM(channels, hidden, bidirectional=True, batch_first=True).to(device)
    weights = [w.detach().requires_grad_() for w in flat_weights(lstm)]
    x = torch.randn(1, side * side, channels, device=device).requires_grad_()
    inputs = [x, *weights]
    exact = [t.detach().double().requires_grad_() for t in inputs]
    found = {'native': (backend('native', lambda: ops.bilstm1d(x, weights)), inputs)}
    if device == 'cuda':
        found['triton'] = (backend('triton', lambda: ops.bilstm1d(x, weights)), inputs)
    module = [x, *lstm.parameters()]
    found['nn.LSTM'] = (lambda: lstm(x)[0], module)
    return found, (lambda: bilstm1d_reference(exact[0], exact[1:]), exact)


def sliced_shift(x: Tensor, group: int) -> Tensor:
    """The shift of a channels-first map, group by group into zeros."""
    y = torch.zeros_like(x)
    y[:, :group, :, :-1] = x[:, :group, :, 1:]
    y[:, group : 2 * group, :, 1:] = x[:, group : 2 * group, :, :-1]
    y[:, 2 * group : 3 * group, :-1] = x[:, 2 * group : 3 * group, 1:]
    y[:, 3 * group : 4 * group, 1:] = x[:, 3 * group : 4 * group, :-1]
    y[:, 4 * group :] = x[:, 4 * group :]
    return y


def shift2d(side: int, channels: int, _: int, device: str) -> tuple[dict[str, Contender], Contender]:
    x = torch.randn(1, side, side, channels, device=device).requires_grad_()
    first = x.detach().permute(0, 3, 1, 2).contiguous().requires_grad_()
    exact = x.detach().double().requires_grad_()
    found = {'native': (backend('native', lambda: ops.shift2d(x, GROUPS)), [x])}
    if device == 'cuda':
        found['triton'] = (backend('triton', lambda: ops.shift2d(x, GROUPS)), [x])
    found['channels-first slices'] = (lambda: sliced_shift(first, channels // GROUPS), [first])
    return found, (lambda: shift2d_reference(exact, GROUPS), [exact])


def mlstm(length: int, channels: int, _: int, device: str) -> tuple[dict[str, Contender], Contender]:
    inputs = [t.requires_grad_() for t in make_mlstm(1, length, channels, torch.float32, 'usual', device)]
    exact = [t.detach().double().requires_grad_() for t in inputs]
    found = {'chunkwise': (backend('chunkwise', lambda: ops.mlstm(*inputs)), inputs)}
    if device == 'cuda':
        found['triton'] = (backend('triton', lambda: ops.mlstm(*inputs)), inputs)
    found['quadratic'] = (lambda: quadratic(*inputs), inputs)
    return found, (lambda: quadratic(*exact), exact)


def global_norm_mlp(side: int, channels: int, hidden: int, device: str) -> tuple[dict[str, Contender], Contender]:
    x = torch.randn(1, side, side, channels, device=device).requires_grad_()
    norm, fc1, fc2 = nn.GroupNorm(1, channels), nn.Linear(channels, hidden), nn.Linear(hidden, channels)
    weights = [p.to(device).detach().requires_grad_() for part in (norm, fc1, fc2) for p in part.parameters()]
    exact = [t.detach().double().requires_grad_() for t in (x, *weights)]
    first = [x.detach().permute(0, 3, 1, 2).contiguous().requires_grad_(), *weights]

    def modules() -> Tensor:
        scale, shift, w1, b1, w2, b2 = weights
        y = F.group_norm(first[0], 1, scale, shift)
        return first[0] + F.conv2d(F.gelu(F.conv2d(y, w1[..., None, None], b1)), w2[..., None, None], b2)

    def fused(x: Tensor, scale: Tensor, shift: Tensor, *mlp: Tensor) -> Tensor:
        return ops.global_norm_mlp(x, scale, shift, 1e-5, *mlp)

    found = {'native': (backend('native', lambda: fused(x, *weights)), [x, *weights])} if device == 'cpu' else {}
    found['channels-first modules'] = (modules, first)
    return found, (lambda: global_norm_mlp_reference(*exact[:3], 1e-5, *exact[3:]), exact)


def global_norm(side: int, channels: int, _: int, device: str) -> tuple[dict[str, Contender], Contender]:
    shapes = ((1, side, side, channels), (channels,), (channels,))
    inputs = [torch.randn(shape, device=device).requires_grad_() for shape in shapes]
    exact = [t.detach().double().requires_grad_() for t in inputs]
    names = ('native', 'group_norm') if device == 'cpu' else ('group_norm',)
    found = {name: (backend(name, lambda: ops.global_norm(*inputs, 1e-5)), inputs) for name in names}
    first = [inputs[0].detach().permute(0, 3, 1, 2).contiguous().requires_grad_(), *inputs[1:]]
    found['channels-first group norm'] = (lambda: F.group_norm(first[0], 1, *first[1:]), first)
    return found, (lambda: global_norm_reference(*exact, 1e-5), exact)


def head_norm(length: int, channels: int, _: int, device: str) -> tuple[dict[str, Contender], Contender]:
    dim = 4 * channels
    shapes = ((1, 4, length, channels), (dim,), (dim,), (dim,), (1, length, dim))
    inputs = [torch.randn(shape, device=device).requires_grad_() for shape in shapes]
    exact = [t.detach().double().requires_grad_() for t in inputs]

    def on(call: Callable[..., Tensor], inputs: list[Tensor]) -> Tensor:
        h, weight, bias, skip, c = inputs
        return call(h, weight, bias, 1e-5, skip, c)

    names = ('native', 'group_norm') if device == 'cpu' else ('group_norm',)
    found = {name: (backend(name, lambda: on(ops.head_norm, inputs)), inputs) for name in names}
    return found, (lambda: on(head_norm_reference, exact), exact)


# Operator: how to make it, and its sizes by the layer where they stand.
OPERATORS: dict[str, tuple[Callable[..., Any], dict[str, tuple[int, int, int]]]] = {
    'bilstm2d': (
        bilstm2d,
        {
            '504 px, stage 1': (72, 192, 48),
            '504 px, stages 2 to 4': (36, 384, 96),
            '1008 px, stage 1': (144, 192, 48),
            '1008 px, stages 2 to 4': (72, 384, 96),
        },
    ),
    # VSequencer's tokens, row by row.
    'bilstm1d': (bilstm1d, {'504 px': (36, 384, 192)}),
    'shift2d': (shift2d, {'512 px, stage 1': (128, 96, 0), '512 px, stage 3': (32, 384, 0)}),
    'global_norm_mlp': (global_norm_mlp, {'512 px, stage 1': (128, 96, 192), '512 px, stage 2': (64, 192, 384)}),
    'global_norm': (global_norm, {'512 px, stage 1': (128, 96, 0), '512 px, stage 3': (32, 384, 0)}),
    'head_norm': (head_norm, {'512 px': (1024, 96, 0), '1024 px': (4096, 96, 0)}),
    'mlstm': (mlstm, {'512 px': (1024, 96, 0), '1024 px': (4096, 96, 0)}),
}


def answers(contender: Contender, grad: Tensor | None) -> list[Tensor]:
    """Output and gradients."""
    call, inputs = contender
    y = call()
    grad = torch.ones_like(y) if grad is None else grad
    return [y.detach(), *torch.autograd.grad(y, inputs, grad)]


@tf32(False)
def gate(found: dict[str, Contender], judge: Contender) -> dict[str, float]:
    """The worst relative error of output and gradients of every contender, without TF32."""
    expected = answers(judge, None)
    worst = {}
    for name, contender in found.items():
        errors = []
        for mine, right in zip(answers(contender, None), expected):
            if mine.dim() == 4 and mine.shape != right.shape:
                # Channels first.
                mine = mine.permute(0, 2, 3, 1)
            errors.append(float((mine.double() - right).norm() / right.norm().clamp_min(1e-3)))
        worst[name] = max(errors)
    return worst


def step(contender: Contender, training: bool) -> Callable[[], object]:
    call, _ = contender
    return (lambda: answers(contender, None)) if training else torch.no_grad()(call)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--only', nargs='+', choices=OPERATORS, default=list(OPERATORS), help='operators to measure')
    parser.add_argument('--device', choices=['cpu', 'cuda'], default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--rounds', type=int, default=11)
    parser.add_argument('--out', type=Path, help='default: benchmarks/results/ops_cpu.json or ..._gpu.json')
    args = parser.parse_args()
    torch.manual_seed(0)
    device = torch.device(args.device)
    if device.type == 'cpu':
        # For all, or large maps would be timed by the pages that they ask the system for.
        keep_memory()
    cases = []
    for operator in args.only:
        make, sizes = OPERATORS[operator]
        for place, size in sizes.items():
            found, judge = make(*size, args.device)
            case = dict(operator=operator, place=place, size=size, errors=gate(found, judge))
            cases.append((case, found))
            wrong = [name for name, error in case['errors'].items() if not error <= TOLERANCE]
            if wrong:
                print(f'FAIL {operator}, {place}: {", ".join(wrong)}: {case["errors"]}; nothing was timed')
                return 1
    for case, found in cases:
        for mode in ('inference', 'training'):
            times = alternate({name: step(one, mode == 'training') for name, one in found.items()}, device, args.rounds)
            ours, *_, peer = times
            case[mode] = dict(
                seconds={name: spread(values) for name, values in times.items()},
                ratio_to_ours={name: ratio(values, times[ours]) for name, values in times.items() if name != ours},
            )
            quotient = case[mode]['ratio_to_ours'].get(peer, dict(median=1.0))['median']
            milliseconds = ', '.join(
                f'{name} {1000 * spread(values)["median"]:.2f} ms' for name, values in times.items()
            )
            print(
                f'{case["operator"]}, {case["place"]}, {mode}: {milliseconds}; {peer} / {ours} {quotient:.2f}',
                flush=True,
            )
    out = args.out or RESULTS / f'ops_{"gpu" if args.device == "cuda" else "cpu"}.json'
    print(write_json(out, dict(machine=machine(device), tolerance=TOLERANCE, cases=[case for case, _ in cases])))
    return 0


if __name__ == '__main__':
    run(main)

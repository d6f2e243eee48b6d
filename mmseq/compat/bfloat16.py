"""Whether a device multiplies in bfloat16, or imitates it and is slower than in float32.

torch's autocast does not check: on a processor without instructions for bfloat16 oneDNN converts in every product and
convolution, and a training takes 4 to 22 times as long as in float32. Drop once torch's autocast refuses such
processors, or warns.
"""

import os
import platform
import time
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

# What Linux calls the instructions that multiply bfloat16, on x86 and on ARM; AMX comes with the first.
FLAGS = frozenset({'avx512_bf16', 'amx_bf16', 'bf16'})
CPUINFO = Path('/proc/cpuinfo')
# Values of ONEDNN_MAX_CPU_ISA, in any spelling of case, under which oneDNN leaves these instructions alone.
WITHOUT = frozenset({'SSE41', 'AVX', 'AVX2', 'AVX2_VNNI', 'AVX2_VNNI_2', 'AVX512_CORE', 'AVX512_CORE_VNNI'})
# Side of the product that is timed, turns of each dtype, and the share of float32's time that is no gain any more: 0.4
# to 0.5 with instructions for bfloat16, 2.5 with AVX-512 without them, 60 to 100 with AVX2.
SIDE = 256
TURNS = 5
NO_GAIN = 1.5


def bfloat16_problem(device: str) -> str | None:
    """Why bfloat16 is slower than float32 on a device of this type, in a few words; None if it is not known to be."""
    if device == 'cuda':
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        return None if native else f'{torch.cuda.get_device_name()} has no instructions for bfloat16'
    return _processor_problem() if device == 'cpu' else None


@cache
def _processor_problem() -> str | None:
    """A table first, since it cannot be wrong by chance: all processes of a run have to find the same."""
    limit = (os.environ.get('ONEDNN_MAX_CPU_ISA') or os.environ.get('DNNL_MAX_CPU_ISA') or '').upper()
    if limit in WITHOUT:
        return f'ONEDNN_MAX_CPU_ISA={limit} leaves out the instructions for bfloat16'
    flags = processor_flags()
    if flags is not None and not flags & FLAGS:
        return f'this processor ({platform.machine()}) has no instructions for bfloat16'
    share = measured_share()
    return f'a product in bfloat16 takes {share:.1f} times as long as in float32' if share > NO_GAIN else None


def processor_flags() -> frozenset[str] | None:
    """What the processor can do, in Linux' words; None on other systems."""
    if not CPUINFO.is_file():
        return None
    for line in CPUINFO.read_text().splitlines():
        name, _, values = line.partition(':')
        if name.strip() in ('flags', 'Features'):
            return frozenset(values.split())
    return None


def measured_share() -> float:
    """The time of a product in bfloat16 over that in float32: the shortest of several turns, on one thread."""
    threads = torch.get_num_threads()
    operands = {dtype: torch.ones(SIDE, SIDE, dtype=dtype) for dtype in (torch.float32, torch.bfloat16)}
    torch.set_num_threads(1)
    try:
        # The first turn finds or makes the kernels.
        turns = [{dtype: seconds(x) for dtype, x in operands.items()} for _ in range(TURNS + 1)][1:]
    finally:
        torch.set_num_threads(threads)
    return min(turn[torch.bfloat16] for turn in turns) / min(turn[torch.float32] for turn in turns)


def seconds(x: Tensor) -> float:
    """Of the product of a matrix with itself."""
    begin = time.perf_counter()
    torch.mm(x, x)
    return time.perf_counter() - begin

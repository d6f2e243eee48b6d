"""Compile the Triton kernels of mlstm and shift2d for a GPU that need not be there: registers, spills, shared memory.

    python benchmarks/compile_kernels.py --capability 90 --dtype bfloat16 --head-size 384

A kernel that the interpreter runs may still not compile. This says so on any machine, in about a minute.
"""

import argparse
import os
import re
import subprocess
import tempfile
from pathlib import Path
from types import ModuleType

from mmseq.cli import run

NUMBERS = {'float32': 'fp32', 'bfloat16': 'bf16', 'float16': 'fp16'}
# Arguments by name: those of the inputs' dtype, and those that are not float32.
INPUTS = {'q', 'k', 'v', 'x', 'y', 'to_q', 'to_k', 'to_v'}
INTEGERS = {'length', 'chunks', 'heads', 'height', 'width', 'channels', 'group', 'sign'}
OTHERS = {'c': '*fp64', 'm': '*fp64', 'c_out': '*fp64', 'm_out': '*fp64', 'best': '*i32', 'best_out': '*i32'}
OTHERS['scale'] = 'fp32'


def kind(name: str, number: str, constants: dict[str, object]) -> str:
    """How Triton writes the type of an argument."""
    if name in constants:
        return 'constexpr'
    if name in INTEGERS or name.startswith('stride_'):
        return 'i32'
    return OTHERS.get(name) or ('*' + number if name in INPUTS else '*fp32')


def resources(triton: ModuleType, binary: bytes) -> str:
    """Registers and bytes of spills per thread."""
    tool = Path(triton.__file__).parent / 'backends/nvidia/bin/cuobjdump'
    with tempfile.NamedTemporaryFile(suffix='.cubin') as file:
        file.write(binary)
        file.flush()
        done = subprocess.run([tool, '--dump-resource-usage', file.name], capture_output=True, text=True, check=True)
    registers, stack = re.search(r'REG:(\d+) STACK:(\d+)', done.stdout).groups()
    return f'{registers} registers, {stack} bytes spilled'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--capability', type=int, default=90, help='80 for A100, 90 for H100 and H200')
    parser.add_argument('--dtype', choices=NUMBERS, default='bfloat16')
    parser.add_argument('--head-size', type=int, default=96)
    args = parser.parse_args()
    # Read when triton is imported, as are the modules below.
    os.environ['TRITON_INTERPRET'] = '0'
    import torch
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from mmseq.ops.mlstm import triton_backward, triton_forward, triton_impl
    from mmseq.ops.shift2d import triton_impl as shift
    from mmseq.ops.triton_common import products

    dtype = getattr(torch, args.dtype)
    plan = triton_impl.plan(torch.empty(1, 1, 4096, args.head_size, dtype=dtype), 64)
    wide, narrow = {'num_warps': triton_impl.WARPS}, {}
    for kernel, options in (
        (triton_forward.gates_kernel, narrow),
        (triton_forward.states_kernel, narrow),
        (triton_forward.output_kernel, wide),
        (triton_backward.rows_kernel, narrow),
        (triton_backward.chain_kernel, narrow),
        (triton_backward.keys_kernel, wide | {'num_stages': 1}),
        (triton_backward.values_kernel, wide),
        (shift.shift_kernel, narrow),
    ):
        given = plan.constants | products(dtype) | {'REVERSE': True}
        if kernel is shift.shift_kernel:
            given['BLOCK'] = shift.BLOCK
        constants = {name: value for name, value in given.items() if name in kernel.arg_names}
        signature = {name: kind(name, NUMBERS[args.dtype], constants) for name in kernel.arg_names}
        source = ASTSource(kernel, signature, constexprs=constants)
        compiled = triton.compile(source, target=GPUTarget('cuda', args.capability, 32), options=options)
        used = f'{resources(triton, compiled.asm["cubin"])}, {compiled.metadata.shared} bytes shared'
        print(f'{kernel.__name__}: {used}', flush=True)


if __name__ == '__main__':
    run(main)

"""What Triton's compiler makes of bilstm2d's kernels for an H100 or H200; needs no GPU.

    python benchmarks/compile_bilstm2d.py --out work_dirs/compile_bilstm2d.json

A line per kernel, dtype and hidden size: shared memory, registers per thread, bytes spilled. Exit status 1 if one needs
more shared memory than a program may have.
"""

import argparse
import json
import re
import subprocess
from pathlib import Path

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from mmseq.cli import run
from mmseq.errors import InputError
from mmseq.ops.bilstm2d.triton_impl import SHARED_BYTES, plan
from mmseq.ops.bilstm2d.triton_resident import backward_resident, forward_resident
from mmseq.ops.bilstm2d.triton_streamed import backward_streamed, forward_streamed
from mmseq.ops.triton_common import INTERPRETED

DTYPES = {'bf16': torch.bfloat16, 'fp32': torch.float32}
PTXAS = Path(triton.__file__).parent / 'backends/nvidia/bin/ptxas'


def compile_kernel(forward: bool, dtype: str, hidden: int, folder: Path) -> dict:
    """One kernel for four scans in training, as the operator would launch it."""
    cut = plan(torch.empty(0, dtype=DTYPES[dtype]), hidden)
    if cut.resident:
        kernel = forward_resident if forward else backward_resident
    else:
        kernel = forward_streamed if forward else backward_streamed
    values = dict(VERTICAL=2, SCANS=4, HIDDEN=hidden, PADDED=cut.block, BLOCK=cut.block, ROWS=cut.rows, KEEP=True)
    values['PRECISION'] = 'tf32'
    constants = {name: values[name] for name in kernel.arg_names if name in values}
    types = dict.fromkeys(kernel.arg_names, f'*{dtype}')
    types |= dict.fromkeys(constants, 'constexpr') | dict.fromkeys(('batch', 'height', 'width'), 'i32')
    if 'state' in types:
        types['state'] = '*fp32'
    # torch's allocations are aligned, which the launcher would tell the compiler.
    aligned = {(n,): [['tt.divisibility', 16]] for n, name in enumerate(types) if types[name].startswith('*')}
    options = {'num_warps': cut.warps} | ({} if cut.resident else {'num_stages': 2})
    source = ASTSource(kernel, types, constants, aligned)
    made = triton.compile(source, target=GPUTarget('cuda', 90, 32), options=options)
    name = f'{kernel.fn.__name__}_{dtype}_{hidden}'
    ptx = folder / f'{name}.ptx'
    ptx.write_text(made.asm['ptx'])
    command = [PTXAS, '-v', '--gpu-name', 'sm_90a', ptx, '-o', folder / f'{name}.cubin']
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    return {
        'kernel': name,
        'shared_bytes': made.metadata.shared,
        'registers': int(re.search(r'Used (\d+) registers', said)[1]),
        'spilled_bytes': int(re.search(r'(\d+) bytes spill stores', said)[1]),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', type=Path, default=Path('work_dirs/compile_bilstm2d/kernels.json'))
    parser.add_argument('--hidden', type=int, nargs='+', default=[48, 64, 96, 128, 192])
    parser.add_argument('--dtype', choices=DTYPES, nargs='+', default=list(DTYPES))
    args = parser.parse_args()
    if INTERPRETED.value:
        raise InputError('TRITON_INTERPRET is set: kernels are interpreted, not compiled; unset it')
    args.out.parent.mkdir(parents=True, exist_ok=True)
    rows = []
    for dtype in args.dtype:
        for hidden in args.hidden:
            for forward in (True, False):
                rows.append(compile_kernel(forward, dtype, hidden, args.out.parent))
                print(
                    '{kernel:28} shared {shared_bytes:6} registers {registers:3} spilled {spilled_bytes}'.format(
                        **rows[-1]
                    )
                )
    args.out.write_text(json.dumps({'triton': triton.__version__, 'kernels': rows}, indent=2) + '\n')
    return int(any(row['shared_bytes'] > SHARED_BYTES for row in rows))


if __name__ == '__main__':
    run(main)

"""What all Triton kernels share: where they can run, and how they multiply.

Imported by the ``triton_*.py`` files alone, which are themselves imported when the backend is first asked for.
"""

from typing import Literal

import torch
import triton
import triton.language as tl
from torch import Tensor

from mmseq.errors import InputError

# Triton decides this for its own functions when it is imported: TRITON_INTERPRET=1 has to be set before that.
INTERPRETED = tl.constexpr(not isinstance(tl.sum, triton.JITFunction))


def need_machine(operator: str, x: Tensor, dtypes: tuple[torch.dtype, ...]) -> None:
    """Say in one line why a kernel cannot run on ``x``, if so.

    Raises:
        InputError: neither on a GPU nor interpreted, or a dtype that the kernels do not know.
    """
    if x.device.type != 'cuda' and not INTERPRETED.value:
        raise InputError(
            f'{operator} on backend triton needs a CUDA GPU, not {x.device.type}: choose another backend '
            '(MMSEQ_BACKEND), or set TRITON_INTERPRET=1 in the environment to run the kernels, slowly, on the CPU'
        )
    if x.dtype not in dtypes:
        names = ', '.join(str(dtype).removeprefix('torch.') for dtype in dtypes)
        raise InputError(
            f'{operator} on backend triton has no {str(x.dtype).removeprefix("torch.")}: it takes {names}; choose '
            'another backend (MMSEQ_BACKEND)'
        )


def products(dtype: torch.dtype) -> dict[str, object]:
    """The compile-time arguments of ``multiply`` for inputs of a dtype.

    float16 is widened to TF32, which has its ten bits of mantissa and float32's range: sums over thousands of steps
    and gradients divided by a small normaliser leave float16's. float32 takes three TF32 products unless torch itself
    is allowed one (``torch.set_float32_matmul_precision``, ``torch.backends.cuda.matmul.fp32_precision``).
    """
    if dtype == torch.bfloat16:
        return {'PRODUCT': tl.bfloat16, 'PRECISION': 'tf32'}
    exact = dtype == torch.float32 and not allows_tf32('matmul')
    return {'PRODUCT': tl.float32, 'PRECISION': 'tf32x3' if exact else 'tf32'}


def allows_tf32(kind: Literal['matmul', 'rnn']) -> bool:
    """Whether the user lets torch round float32 to TF32 in products, or in cuDNN's recurrences, on a GPU."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    # torch before 2.9 knows the older names alone; later ones refuse to read them once a newer one has been set.
    if hasattr(matmul, 'fp32_precision'):
        return (matmul if kind == 'matmul' else cudnn.rnn).fp32_precision == 'tf32'
    return matmul.allow_tf32 if kind == 'matmul' else cudnn.allow_tf32


@triton.jit
def rounded(x, DTYPE: tl.constexpr):
    """``x`` in another dtype, rounded to the nearest."""
    # The interpreter cuts float32 off where bfloat16 ends, and every product would come out too small.
    if INTERPRETED and tl.bfloat16 == DTYPE:
        bits = x.to(tl.float32).to(tl.int32, bitcast=True)
        bits += 0x7FFF + ((bits >> 16) & 1)
        x = (bits & -0x10000).to(tl.float32, bitcast=True)
    return x.to(DTYPE)


@triton.jit
def multiply(a, b, PRODUCT: tl.constexpr, PRECISION: tl.constexpr):
    """Matrix product of two tiles, rounded to ``PRODUCT`` before and summed in float32."""
    a = rounded(a, PRODUCT)
    b = rounded(b, PRODUCT)
    # The interpreter multiplies bfloat16 as the integers that it stores it in.
    if INTERPRETED:
        a = a.to(tl.float32)
        b = b.to(tl.float32)
    return tl.dot(a, b, input_precision=PRECISION)

"""What Triton kernels may round follows torch's settings, in their older and newer names."""

import subprocess
import sys

import pytest

pytest.importorskip('triton')

# Of a process: some of them cannot be taken back.
CODE = """
import torch
from mmseq.ops.triton_common import allows_tf32, products
{}
print(allows_tf32('matmul'), allows_tf32('rnn'), products(torch.float32)['PRECISION'])
"""
NEWER = "torch.backends.{}.fp32_precision = '{}'"


@pytest.mark.parametrize(
    'setting, expected',
    [
        ('', 'False True tf32x3'),
        ("torch.set_float32_matmul_precision('high')", 'True True tf32'),
        ('torch.backends.cuda.matmul.allow_tf32 = True', 'True True tf32'),
        ('torch.backends.cudnn.allow_tf32 = False', 'False False tf32x3'),
        (NEWER.format('cuda.matmul', 'tf32'), 'True True tf32'),
        (NEWER.format('cudnn.rnn', 'ieee'), 'False False tf32x3'),
    ],
)
def test_tf32(setting, expected):
    done = subprocess.run([sys.executable, '-c', CODE.format(setting)], capture_output=True, text=True)
    if 'fp32_precision' in done.stderr:
        pytest.skip('this torch has no fp32_precision')
    assert done.stdout.strip() == expected, done.stderr

"""Resampling with its weights where they belong, and with them on the CPU; see test_device.py."""

import importlib
import sys

import torch

from tests.device import artificial


def main() -> None:
    artificial.start()
    operator = importlib.import_module('mmseq.ops.resample2d')
    x = torch.randn(2, 10, 10, 8, device=artificial.NAME)
    answer = operator.resample2d(x, 14, 4, (35, 35))
    lines = [f'here: {answer.device.type}']
    operator.axis_weights = lambda a, b, c, d, dtype, device: operator.exact_weights(a, b, c, d).to(dtype)
    try:
        operator.resample2d(x, 14, 4, (35, 35))
    except RuntimeError as error:
        lines.append(f'refused: {str(error).split(": ")[1].split(",")[0]}')
    sys.stdout.write('\n'.join(lines) + '\n')


if __name__ == '__main__':
    main()

"""Labels from overlapping windows on the artificial device and on the CPU; see test_device.py."""

import json
import sys

import torch
from torch import Tensor

from mmseq.segmentors.stitch import Frame, stitch_labels
from tests.device import artificial


def labels(device: str) -> Tensor:
    generator = torch.Generator().manual_seed(0)

    def logits_of(y: int, x: int, height: int, width: int) -> Tensor:
        return torch.randn(5, height // 4, width // 4, generator=generator).to(device)

    frame = Frame(96, 128, (0, 90), (0, 120), (180, 240))
    return stitch_labels(logits_of, frame, (64, 64), (42, 42), align_corners=False)


def main() -> None:
    artificial.start()
    found = labels(artificial.NAME)
    counts = dict(artificial.counted())
    equal = torch.equal(found.cpu(), labels('cpu'))
    sys.stdout.write(json.dumps(dict(counts, equal=equal)) + '\n')


if __name__ == '__main__':
    main()

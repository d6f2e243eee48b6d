"""What the authors' code answered to weights and images that anyone can make again.

A recording (``recorded/*.json``) holds the names and shapes of the authors' state dict, and for each image size the
normalised last feature map. It was made so: the authors' model, unchanged, in the configuration named under ``about``;
``weights(shapes)`` loaded into it; ``picture(size)`` put in; the output of its final norm, in float32 on a CPU, laid
out channels first and rounded to six digits.
"""

import json
import math
import zlib
from pathlib import Path

import torch

RECORDED = Path(__file__).parent / 'recorded'


def noise(name, shape):
    """Reproducible numbers in (-1, 1) without a generator, whose streams are no promise of torch's."""
    count = torch.arange(math.prod(shape), dtype=torch.float64)
    waves = torch.sin(count * 12.9898 + zlib.crc32(name.encode()) % 1000) * 43758.5453
    return (2 * (waves - waves.floor()) - 1).reshape(shape)


def weights(shapes):
    """A state dict: matrices that keep the variance of what passes through them, and vectors off their initial value.

    Every norm's weight, and every other vector whose name says no bias, is around 1.
    """
    state = {}
    for name, shape in shapes.items():
        values = noise(name, shape)
        if len(shape) == 1:
            values = 0.3 * values + (0 if 'bias' in name else 1)
        else:
            values *= math.sqrt(3 / math.prod(shape[1:]))
        state[name] = values.float()
    return state


def picture(size):
    """(1, 3, *size)."""
    return noise(f'{size[0]}x{size[1]}', (1, 3, *size)).float()


def recording(name):
    """The state dict and a list of (size, expected feature map)."""
    content = json.loads((RECORDED / f'{name}.json').read_text())
    answers = []
    for size, answer in content['answers'].items():
        height, width = map(int, size.split('x'))
        answers.append(((height, width), torch.tensor(answer['values']).reshape(answer['shape'])))
    return weights(content['shapes']), answers

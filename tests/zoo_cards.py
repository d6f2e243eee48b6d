"""Weights that ship, made up within milliseconds: random numbers and their card."""

import json
from pathlib import Path
from typing import Any

from mmseq.api import create_backbone
from mmseq.weights.weights_file import save_weights

FACTS = dict(
    data='Some Photographs',
    data_licence='CC0',
    command='mmseq pretrain sequencer2d_nano --data photographs',
    epochs=8,
    image_size=64,
    top1=25.1,
    top5=50.2,
    hours=0.5,
    dtype='float32',
    mmseq='0.1.0',
)


def ship(folder: Path, name: str = 'sequencer2d_nano_some', family: str = 'sequencer2d', **changed: Any) -> Path:
    """Write the weights of a nano backbone's last stage and their card; returns the file of weights."""
    made = create_backbone(f'{family}_nano', out_indices=(3,))
    file = folder / f'{name}.safetensors'
    sha256 = save_weights(made.state_dict(), file, {})
    parameters = sum(parameter.numel() for parameter in made.parameters())
    card = dict(family=family, arch='nano', parameters=parameters, sha256=sha256, **FACTS) | changed
    file.with_suffix('.json').write_text(json.dumps(card))
    return file

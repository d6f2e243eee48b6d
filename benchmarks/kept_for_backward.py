"""What a forward pass keeps for the backward pass, by kind: Sequencer2D-S beside timm's.

    python benchmarks/kept_for_backward.py --side 448

Every tensor that autograd saves is counted once, with the whole memory that it lies in, parameters left out; with_cp
also holds each block's input, which is not among them. What the allocator does with that memory is another matter:
pages of it that nothing has touched may take none. Writes benchmarks/results/kept_for_backward.json.
"""

import argparse
import json
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import mmseq

RESULT = Path(__file__).parent / 'results' / 'kept_for_backward.json'
SHOWN = 8


def kept(model: nn.Module, forward: Callable[[], Any]) -> dict[str, Any]:
    """Megabytes in all, in workspaces of the LSTM's kernel, and of the largest kinds."""
    known = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    # They are held, or another tensor would come to lie in the same place.
    held: list[Tensor] = []
    sizes: Counter[str] = Counter()

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            known.add(storage.data_ptr())
            held.append(tensor)
            sizes[f'{str(tensor.dtype).removeprefix("torch.")} {tuple(tensor.shape)}'] += storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        forward()
    megabytes = {kind: round(size / 2**20, 1) for kind, size in sizes.most_common()}
    # Nothing else is kept in bytes.
    workspaces = sum(size for kind, size in megabytes.items() if kind.startswith('uint8'))
    largest = dict(list(megabytes.items())[:SHOWN])
    return dict(total=round(sum(megabytes.values())), workspaces=round(workspaces), largest=largest)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--side', type=int, default=448, help='of the square image, px (default: 448)')
    side = parser.parse_args().side
    # An extra of mmseq.
    import timm

    image = torch.randn(1, 3, side, side)
    rows: dict[str, Any] = {}
    for name, options in (('mmseq', {}), ('mmseq, with_cp', dict(with_cp=True))):
        ours = mmseq.create_backbone('sequencer2d_s', **options).train()
        rows[name] = kept(ours, partial(ours, image))
    theirs = timm.create_model('sequencer2d_s', img_size=side).train()
    rows['timm'] = kept(theirs, partial(theirs.forward_features, image))
    for name, row in rows.items():
        print(f'{name:16}{row["total"]:6} MB, {row["workspaces"]} MB of it workspaces')
        for kind, size in row['largest'].items():
            print(f'    {size:8} MB  {kind}')
    RESULT.write_text(json.dumps(dict(side=side, rows=rows), indent=1) + '\n')


if __name__ == '__main__':
    main()

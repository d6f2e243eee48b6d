"""The mean of several checkpoints of one model (model soup, arXiv 2203.05482)."""

import os
from collections.abc import Sequence

from torch import Tensor

from mmseq.addresses import public
from mmseq.checkpoints.compare import FLOATS, compare, is_finite, shorten
from mmseq.checkpoints.fetch import locate
from mmseq.checkpoints.rules import EXACT
from mmseq.checkpoints.storage import load_file
from mmseq.checkpoints.wrappers import state_dict
from mmseq.errors import InputError


def average(names: Sequence[str | os.PathLike[str]], ema: bool = False) -> tuple[dict[str, Tensor], list[str]]:
    """Average checkpoints tensor by tensor, summed in float64 and given back in the first one's type.

    Running statistics of norms are averaged as well. Whole numbers, such as counts of batches, are the first one's.

    Args:
        names: two files or addresses, or more; whole models or backbones.
        ema: average the moving averages of the weights.

    Returns:
        The mean, and remarks on what is no mean.

    Raises:
        InputError: fewer than two, or any two that do not have the same names, shapes and kinds of numbers.
    """
    if len(names) < 2:
        raise InputError('averaging takes two checkpoints or more')
    first: dict[str, Tensor] = {}
    total: dict[str, Tensor] = {}
    for name in names:
        path = locate(name)
        found = state_dict(load_file(path), path, ema)[0]
        # What was kept of a publisher's last bits belongs to the weights before averaging.
        found = {key: tensor for key, tensor in found.items() if not key.startswith(EXACT)}
        differences = compare(found, first or found)
        if differences:
            raise InputError(f'checkpoint {public(name)}: cannot be averaged with {public(names[0])}: {differences}')
        if not first:
            first = found
            total = {key: tensor.double() for key, tensor in found.items() if tensor.dtype in FLOATS}
        else:
            for key in total:
                total[key] += found[key].double()
    mean = {key: (total[key] / len(names)).to(first[key].dtype) if key in total else first[key] for key in first}
    beyond = [key for key, tensor in mean.items() if not is_finite(tensor)]
    if beyond:
        raise InputError(f'{len(beyond)} tensors are not finite when averaged: {shorten(beyond)}')
    whole = [key for key in first if key not in total]
    remarks = (
        [f'{len(whole)} tensors of whole numbers are those of {public(names[0])}: {shorten(whole, 4)}'] if whole else []
    )
    if any(key.endswith('running_var') for key in first):
        remarks.append('running statistics of batch norms are averaged too; those of the mean weights would differ')
    return mean, remarks

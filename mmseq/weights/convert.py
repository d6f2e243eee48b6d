"""Convert a checkpoint to a file of another layout, checked before it takes its name."""

import os
from pathlib import Path

from mmseq.files import draft_beside, put_in_place
from mmseq.weights.arch_tables import arch_table
from mmseq.weights.conversion import convert
from mmseq.weights.fit import AS_ARCH, Geometry
from mmseq.weights.opened import open_source
from mmseq.weights.parity import verify
from mmseq.weights.weights_file import check_target, save_weights


def convert_file(
    name: str | os.PathLike[str],
    target: Path,
    *,
    to: str = 'mmseq',
    arch: str | None = None,
    ema: bool = False,
    keep_head: bool = False,
    geometry: Geometry = AS_ARCH,
    check: bool = False,
) -> list[str]:
    """Convert a checkpoint to a file, which is there afterwards only if everything went well.

    Args:
        name: a file or an address.
        target: the output, of a suffix for weights.
        to, arch, ema, keep_head, geometry: as in :func:`~mmseq.weights.opened.open_source` and
            :func:`~mmseq.weights.conversion.convert`.
        check: convert the output back and compare it with its source (:mod:`mmseq.weights.parity`).

    Returns:
        The account, in lines.

    Raises:
        InputError: bad input; an older file of the output's name stays as it was.
    """
    check_target(target, (name,))
    source = open_source(name, ema)
    table = arch_table(source.family.name, arch)
    done = convert(source, table, to, arch, keep_head, geometry)
    with draft_beside(target, target.suffix) as draft:
        digest = save_weights(done.tensors, draft, done.facts(), done.layout.wrapper)
        lines = done.lines()
        lines += [f'verified   {text}' for text in (verify(done, draft, table) if check else ())]
        put_in_place(draft, target)
    return [*lines, f'written    {target}, {len(done.tensors)} tensors, sha256 {digest}']

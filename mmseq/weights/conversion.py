"""From a checkpoint of any layout to a file of any other, with an account of every tensor."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from torch import Tensor

from mmseq.checkpoints.compare import is_finite, shorten
from mmseq.checkpoints.resize import fit_geometry
from mmseq.checkpoints.rules import EXACT, Layout, Renamed, count_blocks, place_blocks, rename, restore
from mmseq.errors import InputError
from mmseq.weights.fit import AS_ARCH, ArchTable, Geometry, find_arch
from mmseq.weights.opened import Source
from mmseq.weights.weights_file import origin


@dataclass
class Conversion:
    """The converted tensors, and what became of each.

    Attributes:
        source: what was converted.
        arch: its arch, or ``custom``.
        layout: of the result.
        tensors: the result.
        names: by key of the result, the source's key.
        expected: number of tensors that the arch has; norms that no publisher has count only where the source has them.
        extras: the source's keys of the classifier and of what was kept of its last bits.
        resized: by the source's key, what was done.
        dropped: by the source's key, why.
        absent: stages and norms of the arch that the source does not hold.
        geometry: what was asked for.
        inexact: by the source's key, by how much converting the result again would differ.
    """

    source: Source
    arch: str
    layout: Layout
    tensors: dict[str, Tensor]
    names: dict[str, str]
    expected: int
    extras: set[str]
    resized: dict[str, str]
    dropped: dict[str, str]
    absent: list[str]
    geometry: Geometry
    inexact: dict[str, float] = field(default_factory=dict)

    def facts(self) -> dict[str, str]:
        """What is to be written beside the tensors."""
        facts = origin(
            source=self.source.title,
            source_sha256=self.source.sha256,
            source_layout=self.source.layout.name,
            family=self.source.family.name,
            arch=self.arch,
            layout=self.layout.name,
        )
        if self.resized:
            facts['resized'] = '; '.join(f'{key}: {how}' for key, how in self.resized.items())
        return facts

    def lines(self) -> list[str]:
        """The account, one line per kind."""
        source = self.source
        loaded = [key for key, name in self.names.items() if name not in self.extras]
        moved = sum(self.names[key] != key for key in loaded)
        exact = sum(key.startswith(EXACT) for key in self.tensors)
        lines = [
            f'source     {source.title}, sha256 {source.sha256}',
            f'found      {source.family.name}, arch {self.arch}, {source.layout.name} layout'
            + (f'; {source.note}' if source.note else ''),
            f'loaded     {len(loaded)}/{self.expected} tensors',
            f'renamed    {moved}, to the {self.layout.name} layout; {len(loaded) - moved} have the same name in both',
            f'resized    {len(self.resized)}' + ''.join(f'; {key}: {how}' for key, how in self.resized.items()),
            f'dropped    {len(self.dropped)} on purpose' + ''.join(f'; {text}' for text in self._reasons()),
        ]
        kept = [key for key, name in self.names.items() if name in self.extras and not key.startswith(EXACT)]
        if kept:
            lines.append(f'kept       {len(kept)} of the classifier: {shorten(kept, 4)}')
        if exact:
            lines.append(f'exact      {exact} tensors also as their publisher has them, for converting back')
        if self.absent:
            lines.append(f'absent     {", ".join(self.absent)}, which the source does not hold')
        if self.inexact:
            lines.append(
                f'rounded    {len(self.inexact)} tensors to the nearest; converted again they differ by at most '
                f'{max(self.inexact.values()):.2g}: {shorten(self.inexact, 4)}'
            )
        return lines

    def _reasons(self) -> Iterator[str]:
        for why in dict.fromkeys(self.dropped.values()):
            keys = [key for key, reason in self.dropped.items() if reason == why]
            yield f'{len(keys)} {why}: {shorten(keys, 4)}'


def convert(
    source: Source,
    table: ArchTable,
    to: str = 'mmseq',
    arch: str | None = None,
    keep_head: bool = False,
    geometry: Geometry = AS_ARCH,
) -> Conversion:
    """Convert a checkpoint.

    Args:
        source: what :func:`~mmseq.weights.opened.open_source` gave.
        table: the archs of its family.
        to: ``mmseq``, or the first word of a layout's name: ``timm``, ``authors``, ``hub``.
        arch: one of the table; needed only where several fit. ``custom`` compares nothing and takes our layout only.
        keep_head: keep the classifier; in our layout that is under ``head.``. What one of our files has kept stays.
        geometry: sizes to bring the weights to.

    Raises:
        InputError: no arch fits or several do, the family has no such layout, or a tensor is left unexplained.
    """
    layouts = [layout for layout in source.family.layouts if layout.name.split()[0] == to]
    if not layouts:
        known = dict.fromkeys(layout.name.split()[0] for layout in source.family.layouts)
        raise InputError(f'--to {to}: {source.family.name} has no such layout; choose one of {", ".join(known)}')
    renamed = rename(source.tensors, source.layout)
    fit = find_arch(source, renamed, table, arch, geometry)
    place_blocks(renamed, count_blocks(fit.own))
    _refuse_unsound(source, renamed)
    if geometry.grid and table.position not in fit.own:
        raise InputError(f'--grid: {source.family.name} {fit.arch} has no position embedding')
    native = fit.own[table.input_conv].shape[2] if geometry.patch_size else None
    resized = fit_geometry(renamed.tensors, fit.wanted, table.input_conv, table.position, native)
    ours = {**renamed.tensors, **{EXACT + key: tensor for key, tensor in renamed.exact.items()}}
    if keep_head or source.layout is source.family.ours:
        ours |= renamed.kept
    extras = {renamed.sources[key] for key in renamed.kept}
    resized = {renamed.sources[key]: how for key, how in resized.items()}
    done = Conversion(
        source, fit.arch, layouts[0], ours, {}, fit.expected, extras, resized, renamed.dropped, fit.absent, geometry
    )
    if layouts[0] is not source.family.ours:
        if fit.lacking:
            raise InputError(
                f'checkpoint {source.name}: lacks {len(fit.lacking)} tensors that the {layouts[0].name} layout needs: '
                f'{shorten(fit.lacking)}'
            )
        _restore(done, layouts)
    else:
        done.names = {key: key for key in ours}
    _tell_by_source(done, renamed.sources)
    return done


def _tell_by_source(done: Conversion, sources: dict[str, str]) -> None:
    """Turn an account that names our keys into one that names the source's."""
    done.names = {key: sources[name] for key, name in done.names.items() if name in sources}
    taken = set(done.names.values())
    dropped = {sources.get(key, key): why for key, why in done.dropped.items()}
    done.dropped = {key: why for key, why in dropped.items() if key not in taken}
    done.inexact = {sources[key]: by for key, by in done.inexact.items()}


def _refuse_unsound(source: Source, renamed: Renamed) -> None:
    if renamed.unexplained:
        raise InputError(
            f'checkpoint {source.name}: {len(renamed.unexplained)} tensors in the file only: '
            f'{shorten(renamed.unexplained)}'
        )
    tensors = {**renamed.tensors, **renamed.kept}
    broken = [key for key, tensor in tensors.items() if not is_finite(tensor)]
    if broken:
        raise InputError(f'checkpoint {source.name}: {len(broken)} tensors not finite: {shorten(broken)}')


def _restore(done: Conversion, layouts: list[Layout]) -> None:
    """Turn a conversion to our layout into one to the first of the layouts that has a place for every tensor."""
    family, tried = done.source.family, [(layout, restore(done.tensors, layout)) for layout in layouts]
    done.layout, restored = min(tried, key=lambda pair: len(pair[1].unexplained))
    if restored.unexplained or family.find_layout(restored.tensors) is not done.layout:
        raise InputError(
            f'checkpoint {done.source.name}: the {done.layout.name} layout has no place for '
            f'{len(restored.unexplained)} tensors: {shorten(restored.unexplained)}'
        )
    done.inexact = {
        key: float((again.double() - done.tensors[key].double()).abs().max()) for key, again in restored.exact.items()
    }
    done.dropped |= restored.dropped
    done.dropped |= {key: 'used for the last bits' for key in done.dropped if key.startswith(EXACT)}
    done.tensors, done.names = restored.tensors, restored.sources

"""Whether the converter stands up to damaged and hostile files: it may refuse, but not crash, obey or be wrong.

Every mutated file is converted in this process. Good ends are an `InputError` with no output left, or an output with
the very tensors of the sound file. Where the change left the file sound, with other numbers in it and no digest that
says so, the output may hold just those numbers: read here a second time, by other means.
"""

import random
import resource
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

import safetensors.torch
import torch
from torch import Tensor

from benchmarks.fuzz.mutations import HOSTILE, MUTATIONS, SUMMED, Base
from mmseq.checkpoints import FAMILIES
from mmseq.checkpoints.rules import EXACT, restore, same_bits
from mmseq.errors import InputError
from mmseq.weights.arch_tables import backbone_class
from mmseq.weights.conversion import convert
from mmseq.weights.convert import convert_file
from mmseq.weights.fit import ArchTable
from mmseq.weights.opened import open_source
from mmseq.weights.publish import publish

SMALL = {
    'sequencer2d': {'depths': (1, 1, 2, 1), 'dims': (8, 8, 12, 12), 'hidden': (2, 2, 3, 3), 'patches': (4, 2, 1, 1)},
    'shiftvit': {'depths': (1, 1, 2, 1), 'dim': 6, 'n_div': 3},
    'vision_lstm': {'dim': 8, 'taps': (1, 3), 'patch': 4, 'grid': (6, 6)},
}
"""An arch per family whose files have a few dozen kilobytes."""
REFUSED, SAME, OWN = 'refused', 'same tensors', "the file's own other numbers"
BAD = ('crashed', 'code was run', 'output left behind', 'wrong tensors', 'message of several lines')


@dataclass
class Result:
    """How often each mutation came to each end, and which files came to a bad one."""

    ends: dict[str, Counter] = field(default_factory=dict)
    bad: list[str] = field(default_factory=list)
    peak_mib: int = 0
    seconds: float = 0.0


def small_table(family: str) -> ArchTable:
    """The table of one small arch."""
    cls = backbone_class(family)
    arch = SMALL[family]
    stages = len(arch.get('taps', arch.get('depths')))
    with torch.device('meta'):
        model = cls(arch, out_indices=tuple(range(stages)))
    return ArchTable({'small': model.state_dict()}, cls.input_conv, cls.position)


def fuzz(folder: Path, count: int, seed: int = 0) -> Iterator[tuple[int, Result]]:
    """Convert ``count`` mutated files in ``folder``, which is to be empty.

    Yields:
        The number of files done and the result so far.
    """
    tables = {family: small_table(family) for family in SMALL}
    with patch('mmseq.weights.convert.arch_table', lambda family, _: tables[family]):
        yield from fuzz_with(tables, folder, count, seed)


def fuzz_with(tables: dict[str, ArchTable], folder: Path, count: int, seed: int) -> Iterator[tuple[int, Result]]:
    """The same, once the converter knows the small archs."""
    bases = [base for family, table in tables.items() for base in sound_files(folder / 'sound', family, table)]
    expected = {base.name: convert_sound(base, folder, tables) for base in bases}
    mutations = [mutation for mutation, weight in MUTATIONS for _ in range(weight)]
    result, start = Result(), time.monotonic()
    for number in range(count):
        rng = random.Random(f'{seed}-{number}')
        base, mutation = rng.choice(bases), rng.choice(mutations)
        work = folder / 'work'
        work.mkdir()
        promise = mutation(base, rng, work / base.path.name)
        end = convert_one(work, promise, expected[base.name], tables)
        result.ends.setdefault(mutation.__name__, Counter())[end.partition(':')[0]] += 1
        if end.startswith(BAD):
            result.bad.append(f'file {number} of seed {seed}: {mutation.__name__} of {base.name}: {end}')
        shutil.rmtree(work)
        result.peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        result.seconds = time.monotonic() - start
        yield number + 1, result


def sound_files(folder: Path, family: str, table: ArchTable) -> list[Base]:
    """The files that mutations begin with: a publisher's in three formats, ours in two, and a published one."""
    folder.mkdir(parents=True, exist_ok=True)
    layout = next(
        layout
        for layout in FAMILIES[family].layouts
        if not restore(_lively(table), layout).unexplained and layout is not FAMILIES[family].ours
    )
    tensors = restore(_lively(table), layout).tensors
    plain, legacy = folder / f'{family}.safetensors', folder / f'{family}_legacy.pth'
    safetensors.torch.save_file({key: value.contiguous() for key, value in tensors.items()}, plain)
    torch.save(tensors, legacy, _use_new_zipfile_serialization=False)
    zipped = folder / f'{family}_zip.pth'
    torch.save(tensors, zipped)
    ours = [folder / f'{family}_ours.safetensors', folder / f'{family}_ours.pth']
    for path in ours:
        convert_file(zipped, path)
    published = publish(ours[0], folder / family)[0]
    paths = [(plain, False), (legacy, False), (zipped, True), *((path, True) for path in (*ours, published))]
    return [Base(path.name, path, open_source(path).tensors, summed) for path, summed in paths]


def _lively(table: ArchTable) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    shapes = {key: tensor.shape for key, tensor in table.tensors['small'].items()}
    last = max(key.split('.')[1] for key in shapes if key.startswith('norms.'))
    return {
        key: torch.randn(shape, generator=generator)
        for key, shape in shapes.items()
        if not key.startswith('norms.') or key.split('.')[1] == last
    }


@dataclass
class Expected:
    """What converting a sound file gives: the tensors, and by their keys those of the source."""

    tensors: dict[str, Tensor]
    names: dict[str, str]


def convert_sound(base: Base, folder: Path, tables: dict[str, ArchTable]) -> Expected:
    """Convert a sound file."""
    out, source = folder / 'expected.safetensors', open_source(base.path)
    names = convert(source, tables[source.family.name]).names
    convert_file(base.path, out)
    tensors = {key: value.clone() for key, value in safetensors.torch.load_file(out).items()}
    out.unlink()
    return Expected(tensors, names)


def convert_one(work: Path, promise: str, expected: Expected, tables: dict[str, ArchTable]) -> str:
    """Convert the one file in ``work`` and judge the end, one of ``REFUSED, SAME, OWN`` or, with a reason, of BAD."""
    path = next(work.iterdir())
    out = work / 'out.safetensors'
    try:
        convert_file(path, out)
    except InputError as error:
        message = str(error)
        left = [entry.name for entry in work.iterdir() if entry != path]
        if 'code_was_run' in left:
            return f'code was run: {message}'
        if left:
            return f'output left behind: {left}'
        return REFUSED if '\n' not in message else f'message of several lines: {message!r}'
    except Exception as error:  # noqa: BLE001
        # Whatever it is, it would have been a traceback for the user: that is what is looked for here.
        return f'crashed: {type(error).__name__}: {error}'
    if (work / 'code_was_run').exists():
        return 'code was run: and converted'
    got = safetensors.torch.load_file(out)
    if promise == HOSTILE:
        return 'wrong tensors: a hostile file was converted'
    sound = expected.tensors
    if got.keys() == sound.keys() and all(same_bits(got[key], sound[key]) for key in got):
        return SAME
    if promise == SUMMED:
        return 'wrong tensors: other than the sums say'
    return judge_own(path, got, expected)


def judge_own(path: Path, got: dict[str, Tensor], expected: Expected) -> str:
    """Whether an output has just the numbers that its file has under the same names, read without this package."""
    if path.suffix == '.safetensors':
        found = safetensors.torch.load_file(path)
    else:
        found = torch.load(path, weights_only=True)
        while isinstance(found.get('state_dict', found.get('model')), dict):
            found = found.get('state_dict', found.get('model'))
    if any((key in got) != (key in expected.names) for key in {*got, *expected.names} if not key.startswith(EXACT)):
        return 'wrong tensors: not those of the arch'
    for key, tensor in got.items():
        theirs = found[expected.names[key.removeprefix(EXACT)]]
        forms = [theirs]
        if not key.startswith(EXACT):
            # Norms of Vision-LSTM are stored as distances from 1, ShiftViT's linear maps as convolutions.
            forms += [
                1 + theirs.to(torch.promote_types(theirs.dtype, torch.float32)),
                theirs.flatten(1 if theirs.dim() > 1 else 0),
            ]
        if not any(same_bits(form, tensor) for form in forms):
            return f'wrong tensors: {key} is not what the file has'
    return OWN

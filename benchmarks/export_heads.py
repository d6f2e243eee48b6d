"""Every head over every family as one file of ONNX: whether it finds what the model finds, and how long that takes.

Backbones are the nano ones, heads are cut down as for the tests, and weights are random. Files are compared with
upstream's own code at three sizes, in onnxruntime and in OpenVINO. Times are of one image of 160 x 256 px, from pixels
to labels or to boxes and masks: torch, which runs upstream's code, and the two runtimes take turns.

    python -m benchmarks.export_heads                 # all; results/export_heads.json and the table of docs/export.md
    python -m benchmarks.export_heads dino resnet     # those with a word in their name; the others stay as they were
    python -m benchmarks.export_heads --table         # the table alone
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from benchmarks.export import put_table
from benchmarks.index.model_tables import markdown
from mmseq.cli import run
from mmseq.errors import InputError
from mmseq.export import Part, Report, export, part_of, publish
from mmseq.export.formats import FORMATS
from mmseq.files import write_json
from mmseq.measure.timing import alternate, machine, spread
from mmseq.runtimes import RUNTIMES
from tests.configs.heads_table import TITLES, pairs
from tests.export.models import small_model

RESULT = Path(__file__).parent / 'results' / 'export_heads.json'
# The backbone's card, and the family whose configs it is put into.
FAMILIES = {
    'seq2d_nano': 'seq2d',
    'shiftvit_nano': 'shiftvit',
    'vil_nano': 'vil',
    'vsequencer_nano': 'seq2d',
    'convnext_nano': 'shiftvit',
    'resnet_nano': 'shiftvit',
}
TIMED = ('torch', *RUNTIMES)
SIZES = ((96, 150), (160, 128), (101, 75))
SIDES = (160, 256)


def cases() -> Iterator[tuple[str, Path, str, str]]:
    """The name of each case, its config, the card in the config and that in its place."""
    for path, name in pairs():
        for card, family in FAMILIES.items():
            if name['backbone'] == family:
                title = TITLES[name['head'], name['dataset']]
                yield f'{title}: {card}', path, f'{family}_{name["size"]}', card


def measure(path: Path, large: str, card: str, folder: Path) -> dict[str, Any]:
    """One case."""
    cfg, model = small_model(path, large, card, folder)
    begin = time.perf_counter()
    try:
        part = part_of(model, cfg)
        report = export(part, folder / 'model.onnx', sizes=SIZES)
    except InputError as error:
        return dict(refused=str(error))
    found = dict(seconds=time.perf_counter() - begin, bytes=report.bytes, problem=report.problem)
    found['differences'] = differences(report)
    found['share_of_limit'] = report.worst if part.detector else report.worst / report.tolerance
    if report.agrees:
        found['times'] = times(part, report.path)
    return found


def differences(report: Report) -> dict[str, dict[str, float]]:
    """The largest of each output at any size, by runtimes."""
    found: dict[str, dict[str, float]] = {}
    for check in report.checks:
        mine = found.setdefault(check.runtime, {})
        for name, value in check.outputs.items():
            mine[name] = max(mine.get(name, 0.0), value.measure if isinstance(value, publish.Difference) else value)
    return found


def times(part: Part, path: Path) -> dict[str, Any]:
    """Seconds of an image, all runtimes in turn."""
    images, size = publish.sample(part, 0, SIDES)
    theirs = (images, size) if part.detector else (images,)
    calls: dict[str, Any] = {'torch': lambda: part.reference(*theirs)}
    for name in filter(publish.is_there, RUNTIMES):
        file = FORMATS['onnx'].runs[name](path)
        calls[name] = lambda file=file: file(*part.given(images, size))
    measured = alternate(calls, torch.device('cpu'), rounds=5, slot=0.1)
    return {name: spread(values) for name, values in measured.items()}


def table(results: Mapping[str, Any]) -> str:
    """A row per case that was measured."""
    found = results['cases']
    rows = [
        (*name.split(': '), difference(found[name]), *milliseconds(found[name]))
        for name, *_ in cases()
        if name in found
    ]
    about = results['machine']
    where = f'{about["device"]}, threads: {about["threads"]}, torch {about["torch"]}'
    head = ('head', 'backbone', 'difference, of what is let pass', *(f'{who}, ms' for who in TIMED))
    return (
        markdown(head, rows)
        + f'\n*{where}, onnxruntime {about["onnxruntime"]}, OpenVINO {about["openvino"]}: '
        + f'`benchmarks/results/{RESULT.name}`*\n'
    )


def difference(case: Mapping[str, Any]) -> str:
    """The largest of any output, in any runtime at any size."""
    return case.get('refused') or case['problem'] or f'{100 * case["share_of_limit"]:.2g} %'


def milliseconds(case: Mapping[str, Any]) -> list[str]:
    """Of all runtimes."""
    return [f'{1000 * case["times"][name]["median"]:.0f}' if 'times' in case else '' for name in TIMED]


def chosen(words: Sequence[str]) -> list[tuple[str, Path, str, str]]:
    """Raises InputError if no case has any of the words in its name."""
    found = [case for case in cases() if not words or any(word.lower() in case[0].lower() for word in words)]
    if not found:
        raise InputError(f'{" ".join(words)}: in no name of {", ".join(case[0] for case in cases())}')
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('words', nargs='*', help='words in names (default: all)')
    parser.add_argument('--table', action='store_true', help='measure nothing')
    args = parser.parse_args()
    results = json.loads(RESULT.read_text()) if RESULT.is_file() else dict(cases={})
    for name, path, large, card in [] if args.table else tqdm(chosen(args.words), unit='file', disable=None):
        with tempfile.TemporaryDirectory() as folder:
            results['cases'][name] = measure(path, large, card, Path(folder))
        results['machine'] = machine(torch.device('cpu')) | versions()
        write_json(RESULT, results)
    print(put_table('heads', table(results)))
    return 0


def versions() -> dict[str, str]:
    """Of the runtimes."""
    from importlib.metadata import version

    return {name: version(name) for name in RUNTIMES}


if __name__ == '__main__':
    run(main)

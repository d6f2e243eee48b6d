"""Export segmentors of every family in every format, and write down how near the files are to the models.

Weights are random, none of them 0 or 1, so that each of them counts. Sizes are those that mmseq export-onnx compares
at; times are of one image of 512 x 512 px, the file's and the model's in turn.

    python benchmarks/export.py            # all; results/export.json and the table of docs/export.md
    python benchmarks/export.py nano       # those whose name has "nano" in it; the others stay as they were
    python benchmarks/export.py --table    # the table alone
"""

import argparse
import json
import re
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from benchmarks.index.model_tables import markdown
from mmseq.cli import run
from mmseq.errors import InputError
from mmseq.export import FORMATS, Part, export, part_of
from mmseq.files import write_json, write_text
from mmseq.measure.timing import alternate, machine, spread
from mmseq.model.trained import load_trained
from tests.export.models import liven

ROOT = Path(__file__).parents[1]
RESULT, PAGE = ROOT / 'benchmarks' / 'results' / 'export.json', ROOT / 'docs' / 'export.md'
ABLATION = dict(
    _delete_=True, depths=(1, 1, 2, 1), dims=(32, 64, 96, 128), hidden=(8, 16, 24, 32), patches=(4, 2, 2, 2)
)
VERSION_1 = dict(_delete_=True, dim=64, taps=(1, 3, 5, 7), patch=8, version=1)
# Name, config, overrides.
CASES: Mapping[str, tuple[str, dict[str, Any]]] = {
    'Sequencer2D-nano': ('upernet_seq2d_nano_shapes', {}),
    'Sequencer2D-nano, GRU': ('upernet_seq2d_nano_shapes', {'model.backbone.arch': dict(ABLATION, cell='gru')}),
    'ShiftViT-nano': ('upernet_shiftvit_nano_shapes', {}),
    'Vision-LSTM-nano': ('upernet_vil_nano_shapes', {}),
    'Vision-LSTM-nano, version 1': ('upernet_vil_nano_shapes', {'model.backbone.arch': VERSION_1}),
    'VSequencer-nano': ('upernet_vsequencer_nano_shapes', {}),
    'Sequencer2D-S': ('upernet_seq2d_s_ade20k', {}),
    'ShiftViT-T': ('upernet_shiftvit_t_ade20k', {}),
    'Vision-LSTM-T': ('upernet_vil_t_ade20k', {}),
    "Vision-LSTM-T, authors' pyramid": ('upernet_vil_t_ade20k_authors', {}),
    'Sequencer2D-S in FCN': ('fcn_seq2d_s_ade20k', {}),
    'ShiftViT-T in DeepLabV3+': ('deeplabv3plus_shiftvit_t_ade20k', {}),
    'Sequencer2D-S in SegFormer': ('segformer_seq2d_s_ade20k', {}),
    'ShiftViT-T in Semantic FPN': ('semantic_fpn_shiftvit_t_ade20k', {}),
    'Sequencer2D-S in Mask2Former': ('mask2former_seq2d_s_ade20k', {}),
}
TIMED = ('Sequencer2D-S', 'ShiftViT-T', 'Vision-LSTM-T')
SIDE = 512


def measure(name: str, folder: Path) -> dict[str, Any]:
    """One case in all formats."""
    config, options = CASES[name]
    options = {'model.backbone.init_cfg': None, **options}
    cfg, model = load_trained(str(ROOT / 'configs' / f'{config}.py'), None, options=options, device='cpu')
    liven(model)
    part = part_of(model, cfg)
    found: dict[str, Any] = dict(config=config, formats={})
    for form, format_ in FORMATS.items():
        path = folder / f'model{format_.suffix}'
        begin = time.perf_counter()
        try:
            report = export(part, path, form, tolerance=float('inf'))
        except InputError as error:
            found['formats'][form] = dict(refused=str(error))
            continue
        found['formats'][form] = dict(
            difference=report.worst,
            bytes=report.bytes,
            seconds=time.perf_counter() - begin,
            pixels=max(check.outputs['labels'].pixels for check in report.checks),
        )
        if form == 'onnx' and name in TIMED:
            found['time'] = compare_times(part, path)
        path.unlink()
    return found


def compare_times(part: Part, path: Path) -> dict[str, Any]:
    """Seconds of an image, torch's and onnxruntime's in turn."""
    images, file = 255 * torch.rand(1, part.channels, SIDE, SIDE), FORMATS['onnx'].runs['onnxruntime'](path)
    calls = {'torch': lambda: part.reference(images), 'onnxruntime': lambda: file(images)}
    times = alternate(calls, torch.device('cpu'), rounds=5)
    return dict(side=SIDE, **{name: spread(values) for name, values in times.items()})


def table(results: Mapping[str, Any]) -> str:
    """The largest difference of each case and format."""
    rows, timed = [], []
    for name, case in results['cases'].items():
        cells = [
            f'{found["difference"]:.1g}' if 'difference' in found else 'no'
            for found in (case['formats'][form] for form in FORMATS)
        ]
        rows.append((name, f'`{case["config"]}`', *cells))
        if 'time' in case:
            seconds = [f'{case["time"][who]["median"]:.2f} s' for who in ('torch', 'onnxruntime')]
            timed.append((name, *seconds))
    about = results['machine']
    where = f'{about["device"]}, threads: {about["threads"]}, torch {about["torch"]}'
    times = f'\nOne image of {SIDE} x {SIDE} px, from pixels to labels:\n\n' + markdown(
        ('model', 'torch', 'onnxruntime'), timed
    )
    return (
        markdown(('model', 'config', *FORMATS), rows)
        + (times if timed else '')
        + f'\n*{where}: `benchmarks/results/{RESULT.name}`*\n'
    )


def put_table(name: str, text: str) -> Path:
    """Write a text between the marks of that name on the page of exports."""
    marks = re.compile(rf'(<!-- table {name}: begin -->\n).*?(<!-- end -->)', re.DOTALL)
    page = PAGE.read_text()
    assert len(marks.findall(page)) == 1
    return write_text(PAGE, marks.sub(lambda match: f'{match[1]}\n{text}\n{match[2]}', page))


def chosen(words: Sequence[str]) -> list[str]:
    """Raises InputError if no case has any of the words in its name."""
    names = [name for name in CASES if not words or any(word.lower() in name.lower() for word in words)]
    if not names:
        raise InputError(f'{" ".join(words)}: in none of {", ".join(CASES)}')
    return names


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('names', nargs='*', help='parts of names (default: all)')
    parser.add_argument('--table', action='store_true', help='measure nothing')
    args = parser.parse_args()
    results = json.loads(RESULT.read_text()) if RESULT.is_file() else dict(cases={})
    for name in [] if args.table else tqdm(chosen(args.names), unit='model', disable=None):
        with tempfile.TemporaryDirectory() as folder:
            results['cases'][name] = measure(name, Path(folder))
        results['cases'] = {case: results['cases'][case] for case in CASES if case in results['cases']}
        results['machine'] = machine(torch.device('cpu'))
        write_json(RESULT, results)
    print(put_table('export', table(results)))
    return 0


if __name__ == '__main__':
    run(main)

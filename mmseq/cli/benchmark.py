"""Inference speed and memory of a config's model on this machine."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmseq.cli import (
    add_data_arguments,
    add_device_argument,
    add_model_arguments,
    command_parser,
    own_data,
    plainly,
    trained_model,
)
from mmseq.explain import explaining
from mmseq.explain.work import inference

if TYPE_CHECKING:
    from mmseq.measure.throughput import Subject

# torch, and the same as in mmseq.runtimes.
RUNTIMES = ('torch', 'onnxruntime', 'openvino')


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = command_parser(
        'benchmark',
        'Measure inference of the model of a config on random images, for each image size and batch size: images per '
        'second, percentiles of the latency, peak memory; and the time to load an image of its test data. Writes '
        'benchmark.json, benchmark.csv and benchmark.png into the work dir.',
        'mmseq benchmark mmseq::upernet_seq2d_s_ade20k --sizes 512 1024 --batches 1 4',
        'mmseq benchmark --data data/mine/card.yaml',
    )
    add_model_arguments(parser, optional=True)
    add_data_arguments(parser)
    parser.add_argument(
        '--checkpoint',
        help='weights of a trained model, beside a config; the speed of detectors depends on how much they detect',
    )
    parser.add_argument(
        '--sizes', nargs='+', metavar='PX', help='sides of square images, or HxW (default: the size of mmseq flops)'
    )
    parser.add_argument('--batches', nargs='+', type=int, default=[1], metavar='N', help='batch sizes (default: 1)')
    parser.add_argument(
        '--dtypes',
        nargs='+',
        choices=['float32', 'bfloat16'],
        default=['float32'],
        help='precisions: float32 (default), bfloat16 (autocast; slower on devices that only imitate it)',
    )
    parser.add_argument(
        '--compile', choices=['no', 'yes', 'both'], default='no', help='compile the backbone (default: no)'
    )
    parser.add_argument(
        '--runtime',
        nargs='+',
        choices=RUNTIMES,
        default=['torch'],
        help='what runs the model: torch (default); onnxruntime and openvino run it as mmseq export-onnx writes it, on '
        'the CPU, a detector one image at a time',
    )
    parser.add_argument(
        '--seconds', type=float, default=5.0, help='time of each measurement, with at least five calls (default: 5)'
    )
    add_device_argument(parser)
    parser.add_argument('--no-memory', action='store_true', help='do not measure memory')
    return parser


@plainly
def main(argv: list[str] | None = None) -> int:
    """Returns 0; raises InputError for bad input."""
    args = build_parser().parse_args(argv)
    import torch
    from tqdm import tqdm

    from mmseq.compat.bfloat16 import bfloat16_problem
    from mmseq.config import load_config
    from mmseq.errors import InputError
    from mmseq.files import write_csv, write_json
    from mmseq.measure.throughput import PERCENTILES, Subject, cases, data_seconds, measure
    from mmseq.measure.throughput_plot import plot
    from mmseq.measure.timing import machine
    from mmseq.model.build import build
    from mmseq.model.shape import usual_shape

    if min(args.batches) < 1 or args.seconds < 0:
        raise InputError('--batches begin at 1 and --seconds at 0')
    device = args.device or ('cuda' if torch.cuda.is_available() else 'cpu')
    if device != 'cpu' and set(args.runtime) != {'torch'}:
        raise InputError(f'--runtime {" ".join(args.runtime)}: exported models are measured with --device cpu')
    change = own_data(args)
    named = trained_model(args)
    cfg = load_config(named.config, args.cfg_options, args.work_dir, change)
    if 'bfloat16' in args.dtypes and (problem := bfloat16_problem(torch.device(device).type)):
        print(f'bfloat16: {problem}; expect it to be slower than float32')
    with explaining(inference(cfg)):
        # Faults of the model end the command here; in a measuring process they would count as a lack of memory.
        build(cfg)
        shapes = [shape_of(text) for text in args.sizes] if args.sizes else [usual_shape(cfg)]
        subject = Subject(named.config, named.checkpoint, args.cfg_options, device, change=change)
        if set(args.runtime) != {'torch'}:
            subject = replace(subject, file=str(exported(subject, Path(cfg.work_dir), max(args.batches))))
        compiled = {'no': [False], 'yes': [True], 'both': [False, True]}[args.compile]
        rows = []
        for case in tqdm(cases(shapes, args.batches, args.dtypes, compiled, args.runtime), unit='case', disable=None):
            rows.append(measure(subject, case, args.seconds, memory=not args.no_memory))
            tqdm.write(describe(rows[-1]))
        data = data_seconds(cfg)
        if 'left_out' in data:
            print(f'data: {data["left_out"]}')
        else:
            print(f'data: {1000 * data["latency_s"]["p50"]:.1f} ms to read and prepare an image, in one process')
        folder = Path(cfg.work_dir)
        about = machine(torch.device(device))
        write_json(folder / 'benchmark.json', dict(config=named.config, machine=about, data=data, rows=rows))
        sizes = ('height', 'width', 'batch', 'dtype', 'compiled', 'runtime')
        columns = (*sizes, 'images_per_s', 'first_call_s', 'peak_bytes', 'left_out')
        latencies = tuple(f'p{p}' for p in PERCENTILES)
        table = [
            [row.get(key) for key in columns] + [row.get('latency_s', {}).get(p) for p in latencies] for row in rows
        ]
        write_csv(folder / 'benchmark.csv', (*columns, *(f'latency_{p}_s' for p in latencies)), table)
        threads = f', {about["threads"]} thread{"s" * (about["threads"] > 1)}' * (device == 'cpu')
        title = f'{named.title}, {about["device"]}{threads}'
        print(plot(rows, data, title, folder / 'benchmark.png').parent)
        return 0


def exported(subject: 'Subject', folder: Path, batch: int) -> Path:
    """The model as a file in a folder, for other runtimes than torch; whoever serves it exports it with a check."""
    from mmseq.errors import InputError
    from mmseq.export import part_of
    from mmseq.export.onnx_file import OPSET, require, write_onnx
    from mmseq.export.program import record
    from mmseq.files import whole_file
    from mmseq.measure.throughput import load

    require()
    model = load(subject)
    part = part_of(model, model.cfg)
    if part.one and batch > 1:
        raise InputError('--batches: an exported detector takes one image at a time; give --batches 1')
    path = folder / 'benchmark.onnx'
    with whole_file(path) as draft:
        write_onnx(record(part), draft, part, OPSET)
    return path


def shape_of(text: str) -> tuple[int, int]:
    """Height and width of ``512`` or ``512x2048``.

    Raises:
        InputError: it is neither, or too small for a backbone.
    """
    from mmseq.errors import InputError

    sides = text.lower().split('x')
    if len(sides) > 2 or not all(side.isdigit() and int(side) >= 32 for side in sides):
        raise InputError(f'--sizes {text}: expected a side such as 512, or HxW such as 512x2048, 32 px at least')
    return int(sides[0]), int(sides[-1])


def describe(row: dict[str, Any]) -> str:
    """One line of the table."""
    what = f'{row["height"]}x{row["width"]} px, batch {row["batch"]}, {row["dtype"]}{", compiled" * row["compiled"]}'
    if row['runtime'] != 'torch':
        what += f', {row["runtime"]}'
    if 'left_out' in row:
        return f'{what}: {row["left_out"]}'
    latency = ', '.join(f'{name} {1000 * value:.1f}' for name, value in row['latency_s'].items())
    memory = f', {row["peak_bytes"] / 2**20:.0f} MB' if row.get('peak_bytes') is not None else ''
    first = f', first call {row["first_call_s"]:.1f} s'
    return f'{what}: {row["images_per_s"]:.2f} images/s, latency {latency} ms{first}{memory}'

"""What a classifier's weights see in images, and what they are worth."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmseq.cli import add_device_argument, command_parser, plainly, positive

if TYPE_CHECKING:
    from mmseq.classify.accuracy import Way
    from mmseq.classify.classes import Classes
    from mmseq.classify.weights import Identified


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = command_parser(
        'classify',
        'Name the five likeliest classes of images; or give top-1 and top-5 of weights over a validation set, beside '
        'the figure that their authors report, with their crop, interpolation and mean: whether a download is what it '
        'claims to be. A validation set is a folder of class folders, a text file with an image and its class in each '
        'line, or ImageNet-C (CORRUPTION/SEVERITY/CLASS), of which the mean corruption error is given. Writes '
        'classify.json and classify.csv into the work dir.',
        'mmseq classify sequencer2d_s photographs',
        'mmseq classify sequencer2d_s imagenet/val --image-size 224 288 384',
    )
    parser.add_argument(
        'weights',
        metavar='WEIGHTS',
        help='a file of any known layout, an address, or the name of published weights: sequencer2d_s, shiftvit_t, ...',
    )
    parser.add_argument(
        'data', nargs='+', metavar='PATH', help='images, folders of them, or one validation set of class folders'
    )
    parser.add_argument(
        '--image-size',
        nargs='+',
        type=positive,
        default=[224],
        metavar='PX',
        help='pixels per side, or several for a table (default: 224)',
    )
    parser.add_argument(
        '--crop',
        type=float,
        metavar='SHARE',
        help="the image's share of the resized image's shorter side, 0 to 1 (default: the authors'; 1 with ImageNet-C)",
    )
    parser.add_argument(
        '--classes',
        type=Path,
        metavar='FILE',
        help="names of the classes, one a line (default: those in the weights' file, or ImageNet's, which need timm)",
    )
    parser.add_argument('--batch-size', type=positive, default=32, metavar='N', help='images at a time (default: 32)')
    parser.add_argument(
        '--workers', type=positive, default=4, metavar='N', help='threads that read images (default: 4)'
    )
    add_device_argument(parser)
    parser.add_argument('--work-dir', metavar='DIR', help='output folder (default: work_dirs/classify_<weights>)')
    return parser


@plainly
def main(argv: list[str] | None = None) -> int:
    """Returns 0; raises InputError for bad input."""
    args = build_parser().parse_args(argv)
    check(args)
    import torch

    from mmseq.classify.accuracy import Way
    from mmseq.classify.classes import find_classes
    from mmseq.classify.labelled import kind_of
    from mmseq.classify.weights import identify
    from mmseq.errors import InputError
    from mmseq.files import write_json

    paths = [Path(path) for path in args.data]
    kinds = {kind_of(path) for path in paths}
    if kinds != {'images'} and len(paths) > 1:
        raise InputError(f'{paths[1]}: one validation set at a time, or images alone')
    found = identify(args.weights)
    classes = find_classes(found.model.num_classes, args.classes, found.classes)
    device = args.device or ('cuda' if torch.cuda.is_available() else 'cpu')
    way = Way(torch.device(device), args.batch_size, args.workers, progress())
    print(f'{found.family} {found.arch}: {found.report}')
    kind = kinds.pop()
    answer = dict(images=of_images, corruptions=of_corruptions).get(kind, of_set)
    result, table = answer(args, found, classes, way, paths)
    folder = Path(args.work_dir or Path('work_dirs') / f'classify_{Path(args.weights).stem}')
    about = dict(weights=args.weights, sha256=found.sha256, family=found.family, arch=found.arch)
    write_json(folder / 'classify.json', about | dict(parameters=count(found), data=args.data) | result)
    write_table(folder / 'classify.csv', table)
    print(f'written: {folder}/classify.json, classify.csv')
    return 0


def check(args: argparse.Namespace) -> None:
    """Refuse sizes and crops that no classifier takes."""
    from mmseq.errors import InputError

    if min(args.image_size) < 32:
        raise InputError(f'--image-size {min(args.image_size)}: images have 32 px and more')
    if args.crop is not None and not 0 < args.crop <= 1:
        raise InputError(f'--crop {args.crop}: expected more than 0 and at most 1')


def count(found: 'Identified') -> int:
    """Parameters of the model, its head included."""
    return sum(parameter.numel() for parameter in found.model.parameters())


def progress() -> Any:
    """Tells of progress in one line of a terminal, which the next result overwrites."""
    from tqdm import tqdm

    bar = tqdm(bar_format='{desc}', leave=False, disable=None)
    return bar.set_description_str


Answer = tuple[dict[str, Any], list[dict[str, Any]]]
"""What goes into the JSON file, and the rows of the CSV file."""


def of_images(
    args: argparse.Namespace, found: 'Identified', classes: 'Classes', way: 'Way', paths: list[Path]
) -> Answer:
    """The likeliest classes of each image."""
    from mmseq.classify.accuracy import logits, top
    from mmseq.classify.labelled import images_of
    from mmseq.classify.pixels import CROPS, Pixels

    files = [file for path in paths for file in images_of(path)]
    pixels = Pixels(args.image_size[0], args.crop or CROPS[found.family])
    best = top(logits(found.model, files, pixels, way), classes)
    for file, row in zip(files, best):
        print(f'{file}: ' + ', '.join(f'{one["name"]} {one["probability"]:.1%}' for one in row))
    rows = [dict(image=str(file), **one) for file, row in zip(files, best) for one in row]
    return dict(images=[dict(image=str(file), top=row) for file, row in zip(files, best)]), rows


def of_set(args: argparse.Namespace, found: 'Identified', classes: 'Classes', way: 'Way', paths: list[Path]) -> Answer:
    """Top-1 and top-5 at each size, beside the published figure."""
    from mmseq.classify.accuracy import sweep
    from mmseq.classify.labelled import read_folders, read_list
    from mmseq.classify.pixels import CROPS, USUAL_SIZE

    data = read_list(paths[0], classes) if paths[0].is_file() else read_folders(paths[0], classes)
    rows = sweep(found.model, data, args.image_size, args.crop or CROPS[found.family], way)
    published = found.row.reported_top1 if found.row and len(classes.names) == 1000 else None
    print(f'{"px":>5}{"top-1":>8}{"top-5":>8}{"images":>8}')
    for row in rows:
        row['published_top1'] = published if row['image_size'] == USUAL_SIZE else None
        print(f'{row["image_size"]:5}{row["top1"]:8.2f}{row["top5"]:8.2f}{row["images"]:8}')
    if published is not None and found.row is not None:
        print(f'the authors of {found.row.name} report top-1 {published} on ImageNet-1k at {USUAL_SIZE} px')
    return dict(rows=rows), rows


def of_corruptions(
    args: argparse.Namespace, found: 'Identified', classes: 'Classes', way: 'Way', paths: list[Path]
) -> Answer:
    """ImageNet-C's errors."""
    from mmseq.classify.accuracy import corruptions

    result = corruptions(found.model, paths[0], classes, way, args.image_size[0], args.crop or 1.0)
    print(f'{"corruption":20}{"error":>8}{"CE":>8}')
    for name, row in result['corruptions'].items():
        print(f'{name:20}{row["mean"]:8.2f}' + ('       -' if row['ce'] is None else f'{row["ce"]:8.2f}'))
    if result['absent']:
        print(f'no mean corruption error: {", ".join(result["absent"])} are absent')
    else:
        print(f'{"mean of the 15":20}{result["mean_error"]:8.2f}{result["mce"]:8.2f}')
    rows = [
        dict(corruption=name, severity=severity, error=error, ce=row['ce'])
        for name, row in result['corruptions'].items()
        for severity, error in enumerate(row['errors'], 1)
    ]
    return result, rows


def write_table(path: Path, rows: list[dict[str, Any]]) -> None:
    """Rows of the same keys as a CSV file."""
    from mmseq.files import write_csv

    write_csv(path, list(rows[0]), [list(row.values()) for row in rows])

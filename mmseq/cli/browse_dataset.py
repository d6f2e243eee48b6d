"""Samples of the data of a config, as the model gets them."""

import argparse
import re
from pathlib import Path
from typing import Any

from mmseq.cli import add_data_arguments, add_model_arguments, command_parser, own_data, plainly
from mmseq.errors import InputError
from mmseq.explain import explaining
from mmseq.explain.work import inference


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = command_parser(
        'browse-dataset',
        'Draw samples of the data of a config as the model gets them, after augmentation and resizing, with their '
        'boxes, masks and label maps, and count their classes. Writes a picture of each sample, an overview '
        'browse_<split>.png, and browse_<split>.json into the work dir.',
        'mmseq browse-dataset mmseq::mask_rcnn_seq2d_s_coco --split train --num 24',
    )
    add_model_arguments(parser, optional=True)
    add_data_arguments(parser)
    parser.add_argument('--split', choices=('train', 'val', 'test'), default='train', help='(default: train)')
    parser.add_argument(
        '--num', '-n', type=int, default=24, metavar='N', help='samples, evenly spaced over the data (default: 24)'
    )
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument(
        '--augmented', dest='raw', action='store_false', help="after the config's whole pipeline (default)"
    )
    kind.add_argument('--raw', action='store_true', help='as loaded from the files, without augmentation')
    parser.set_defaults(raw=False)
    parser.add_argument('--columns', type=int, default=4, metavar='N', help='pictures per row (default: 4)')
    parser.add_argument('--seed', type=int, default=0, help='seed of the augmentations (default: 0)')
    return parser


@plainly
def main(argv: list[str] | None = None) -> int:
    """Returns 0; raises InputError for bad input."""
    args = build_parser().parse_args(argv)
    if min(args.num, args.columns) < 1:
        raise InputError('--num and --columns begin at 1')
    from mmengine.runner import set_random_seed
    from tqdm import tqdm

    from mmseq.config import load_config
    from mmseq.files import write_json, write_png
    from mmseq.pictures.browse import Browser, Counts
    from mmseq.pictures.contact_sheet import contact_sheet

    change = own_data(args)
    cfg = load_config(args.config, args.cfg_options, args.work_dir, change)
    with explaining(inference(cfg)):
        browser = Browser(cfg, args.split, args.raw)
        if not len(browser):
            raise InputError(f'config {args.config}: its {args.split} data are empty')
        name = f'browse_{args.split}{"_raw" * args.raw}'
        folder = Path(cfg.work_dir) / name
        clear(folder)
        set_random_seed(args.seed)
        count, counts, shown = min(args.num, len(browser)), Counts(), []
        for number in tqdm(range(count), unit='image', disable=None):
            index = number * len(browser) // count
            sample = browser[index]
            counts.add(sample)
            path = folder / f'{index:06d}_{sample.name}.png'
            write_png(path, browser.draw(sample))
            height, width = sample.picture.shape[:2]
            shown.append(dict(index=index, name=sample.name, height=height, width=width, picture=path.name))
        rows = counts.rows(browser.classes)
        about = dict(config=args.config, split=args.split, raw=args.raw, samples=len(browser), shown=shown)
        write_json(folder.with_suffix('.json'), about | dict(classes=rows, ignored_instances=counts.ignored))
        print(f'{args.split} data: {len(browser)} samples, {count} of them drawn\n\n{table(rows)}')
        print(f'\n{contact_sheet(folder, folder.with_suffix(".png"), n=count, columns=args.columns)}')
        return 0


def clear(folder: Path) -> None:
    """Make the folder, without the pictures of an earlier call."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob('*.png'):
        if re.match(r'\d{6}_', path.name):
            path.unlink()


def table(rows: list[dict[str, Any]]) -> str:
    """The classes that occur, the most frequent first, and how many do not occur."""
    there = [row for row in rows if row['images']]
    there.sort(key=lambda row: (-row.get('instances', 0), -row.get('of_pixels', 0)))
    width = max((len(row['name']) for row in there), default=5)
    forms = {'images': '', 'instances': '', 'of_pixels': '.2%'}
    keys = [key for key in forms if any(key in row for row in rows)]
    lines = [f'{"class":{width}}' + ''.join(f'{key.replace("_", " "):>11}' for key in keys)]
    lines += [f'{row["name"]:{width}}' + ''.join(f'{row[key]:>11{forms[key]}}' for key in keys) for row in there]
    absent = len(rows) - len(there)
    return '\n'.join(lines) + (f'\n{absent} of {len(rows)} classes do not occur in these' if absent else '')

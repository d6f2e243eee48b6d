"""Effective receptive fields of a model's levels, before and after training."""

import argparse
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmseq.cli import (
    add_checkpoint_argument,
    add_data_arguments,
    add_device_argument,
    add_model_arguments,
    command_parser,
    own_data,
    plainly,
    trained_model,
)
from mmseq.errors import InputError
from mmseq.explain import explaining
from mmseq.explain.work import inference

if TYPE_CHECKING:
    from torch import Tensor, nn

    from mmseq.engine.own.changes import OwnData
    from mmseq.measure.receptive_field import Level

BEFORE, AFTER = 'before', 'after'
# Values of --before that are no checkpoints: freshly initialised weights, and those that training starts with.
WORDS = ('random', 'start')


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = command_parser(
        'erf',
        'Measure the effective receptive field of each level of the backbone, the gradient of a cell with respect to '
        'the pixels (Luo et al., arXiv 1701.04128), before and after training: the share of the image and the side of '
        'the square that contain 50 and 90 percent of it, and its profiles along both axes. Writes erf.png, erf.json, '
        'erf.csv, erf_profiles.csv and the fields as erf.npz into the work dir.',
        'mmseq erf work_dirs/upernet_seq2d_s_ade20k --num 16',
        'mmseq erf mmseq::upernet_seq2d_s_ade20k --before start',
        'mmseq erf --data data/mine/card.yaml',
        'mmseq erf work_dirs/upernet_seq2d_s_ade20k --image street.jpg --pixel 200 300',
    )
    add_model_arguments(parser, optional=True)
    add_checkpoint_argument(parser, 'without one only the weights of --before are measured')
    parser.add_argument(
        '--before',
        default='random',
        metavar='WEIGHTS',
        help='weights to compare with: "random" (default), "start" (those that training starts with, pretrained ones '
        'included), or a checkpoint',
    )
    images = parser.add_mutually_exclusive_group()
    images.add_argument(
        '--images', nargs='+', metavar='PATH', help="images or folders of images (default: the config's test data)"
    )
    images.add_argument(
        '--image', metavar='FILE', help='this image alone; erf_image.png shows the fields of all levels over it'
    )
    images.add_argument('--noise', action='store_true', help='standard normal noise instead of images')
    parser.add_argument('--num', type=int, default=16, metavar='N', help='images to average over (default: 16)')
    parser.add_argument(
        '--shape', type=int, nargs=2, metavar=('H', 'W'), help='image size in pixels (default: as mmseq flops)'
    )
    parser.add_argument(
        '--pixel', type=int, nargs=2, metavar=('Y', 'X'), help='measure the cells at this pixel (default: the middle)'
    )
    parser.add_argument('--neck', action='store_true', help='measure the levels of the neck as well')
    parser.add_argument('--seed', type=int, default=0, help='seed of random weights and noise (default: 0)')
    add_device_argument(parser)
    add_data_arguments(parser)
    return parser


@plainly
def main(argv: list[str] | None = None) -> int:
    """Returns 0; raises InputError for bad input."""
    args = build_parser().parse_args(argv)
    from mmseq.config import load_config
    from mmseq.measure.receptive_field_plot import plot
    from mmseq.model.shape import usual_shape

    change = own_data(args)
    named = trained_model(args)
    args.config, args.checkpoint = named.config, named.checkpoint
    cfg = load_config(args.config, args.cfg_options, args.work_dir, change)
    with explaining(inference(cfg)):
        shape = tuple(args.shape) if args.shape else usual_shape(cfg)
        pixel = tuple(args.pixel) if args.pixel else (shape[0] // 2, shape[1] // 2)
        check(args, shape, pixel)
        weights = {BEFORE: args.before, AFTER: args.checkpoint}
        images, found = None, {}
        for name, source in weights.items():
            if source is not None:
                model = load(args, source, change)
                # The same images for all weights: the config alone decides how they are prepared.
                images = choose_images(args, model, shape) if images is None else images
                found[name] = measure(model, images, pixel, args.neck, name)
                del model
        # --before has a default.
        assert images is not None
        size = tuple(images.shape[2:])
        about = dict(
            config=args.config,
            weights={name: source for name, source in weights.items() if source},
            images=args.images or args.image or ('noise' if args.noise else 'test data'),
            count=len(images),
            shape=size,
        )
        folder = Path(cfg.work_dir)
        write(folder, about, found)
        what = f'{len(images)} image{"s" * (len(images) > 1)} of {size[0]} x {size[1]} px'
        print(f'{named.title}: {what}\n\n{table(found)}')
        title = f'{named.title}: effective receptive fields, {what}'
        plot(titled(args, found), title, folder / 'erf.png')
        if args.image:
            draw_over(Path(args.image), shape, list(found.values())[-1], folder / 'erf_image.png')
        print(folder)
        return 0


def check(args: argparse.Namespace, shape: tuple[int, int], pixel: tuple[int, int]) -> None:
    """Raises InputError for numbers that fit no image, and for checkpoints that are not there."""
    from mmseq.checkpoints.fetch import locate

    for source in (args.before, args.checkpoint):
        if source not in (*WORDS, None):
            locate(source)
    if min(shape) < 32:
        raise InputError(f'--shape {shape[0]} {shape[1]}: backbones need at least 32 x 32 px')
    if not all(0 <= at < side for at, side in zip(pixel, shape)):
        raise InputError(f'--pixel {pixel[0]} {pixel[1]}: the image has {shape[0]} x {shape[1]} px, counted from 0')
    if args.num < 1:
        raise InputError(f'--num {args.num}: at least one image is needed')


def load(args: argparse.Namespace, source: str, change: 'OwnData') -> 'nn.Module':
    """The model with random weights, with those that training starts with, or with those of a checkpoint."""
    import torch

    from mmseq.model.trained import load_trained

    options = dict(args.cfg_options)
    if source == 'random':
        options['model.backbone.init_cfg'] = None
    torch.manual_seed(args.seed)
    checkpoint = None if source in WORDS else source
    return load_trained(args.config, checkpoint, options=options, device=args.device, change=change)[1]


def choose_images(args: argparse.Namespace, model: 'nn.Module', shape: tuple[int, int]) -> 'Tensor':
    """The images that the arguments name."""
    from mmseq.datasets.sources import Picture, find
    from mmseq.measure import sample_images

    if args.noise:
        return sample_images.noise(model, args.num, shape, args.seed)
    if args.image:
        return sample_images.of_files(model, [args.image], shape)
    if not args.images:
        try:
            return sample_images.of_test_data(model, args.num, shape)
        except InputError as error:
            raise InputError(f'{error}; or give --image, --images or --noise') from error
    paths = [source.path for source in find(args.images) if isinstance(source, Picture)]
    if not paths:
        raise InputError(f'--images {" ".join(args.images)}: no pictures there')
    count = min(args.num, len(paths))
    return sample_images.of_files(model, [paths[i * len(paths) // count] for i in range(count)], shape)


def measure(model: 'nn.Module', images: 'Tensor', pixel: tuple[int, int], neck: bool, name: str) -> list['Level']:
    """The receptive fields of all levels, with progress."""
    from tqdm import tqdm

    from mmseq.measure.receptive_field import fields_at

    if neck and getattr(model, 'neck', None) is None:
        raise InputError('--neck: the model has none; its heads read the maps of the backbone')
    levels = []
    for after_neck in (False, True)[: 1 + neck]:
        title = f'{name} training, {"neck" if after_neck else "backbone"}'

        def progress(parts: Sequence['Tensor'], title: str = title) -> 'Iterable[Tensor]':
            return tqdm(parts, desc=title, unit='image', disable=None)

        levels += fields_at(model, images, pixel, after_neck=after_neck, progress=progress)
    return levels


def records(found: Mapping[str, Sequence['Level']]) -> list[dict[str, Any]]:
    """One row per level and set of weights."""
    from mmseq.measure.receptive_field import SHARES, area

    rows = []
    for name, levels in found.items():
        for level in levels:
            row = dict(weights=name, place=level.place, level=level.level, stride=level.stride)
            row |= dict(cell_row=level.cell[0], cell_column=level.cell[1])
            row |= dict(pixel_row=level.pixel[0], pixel_column=level.pixel[1])
            for share in SHARES:
                held, key = area(level.field, share), f'{100 * share:.0f}'
                row |= {f'pixels_{key}': held.pixels, f'of_image_{key}': held.of_image, f'side_{key}': held.side}
            rows.append(row)
    return rows


def write(folder: Path, about: dict[str, Any], found: Mapping[str, Sequence['Level']]) -> None:
    """The figures, the profiles and the fields."""
    import numpy as np

    from mmseq.files import whole_file, write_csv, write_json
    from mmseq.measure.receptive_field import profiles

    rows, lines = records(found), []
    fields: dict[str, Any] = {}
    for name, levels in found.items():
        for level in levels:
            fields[f'{name}_{level.place}_{level.level}'] = level.field.numpy()
            for axis, profile in profiles(level.field, level.pixel).items():
                values = zip(profile['through'].tolist(), profile['marginal'].tolist())
                lines += [(name, level.place, level.level, axis, at, *both) for at, both in enumerate(values)]
    write_json(folder / 'erf.json', about | dict(levels=rows))
    write_csv(folder / 'erf.csv', list(rows[0]), [list(row.values()) for row in rows])
    columns = ('weights', 'place', 'level', 'axis', 'pixel', 'through', 'marginal')
    write_csv(folder / 'erf_profiles.csv', columns, lines)
    with whole_file(folder / 'erf.npz', '.npz') as draft:
        np.savez_compressed(draft, **fields)


def table(found: Mapping[str, Sequence['Level']]) -> str:
    """The areas, for the terminal."""
    lines = [f'{"level":12}{"stride":>7}  {"weights":9}{"half of it in":>26}{"90 % of it in":>26}']
    for row in sorted(records(found), key=lambda row: (row['place'], row['level'])):
        areas = (f'{100 * row[f"of_image_{key}"]:.2g} %, {row[f"side_{key}"]:.0f} px square' for key in ('50', '90'))
        where = f'{row["place"]} {row["level"]}'
        lines.append(f'{where:12}{row["stride"]:>7g}  {row["weights"]:9}' + ''.join(f'{text:>26}' for text in areas))
    return '\n'.join(lines)


def draw_over(path: Path, shape: tuple[int, int], levels: 'Sequence[Level]', out: Path) -> None:
    """Draw the fields of the levels over the image that they were measured on, as the model got it."""
    import torch

    from mmseq.measure.receptive_field import area
    from mmseq.measure.sample_images import cover
    from mmseq.pictures.displayable import read_displayable
    from mmseq.pictures.fields import draw_fields

    picture = cover(torch.from_numpy(read_displayable(path).copy()).permute(2, 0, 1).float(), shape)
    fields = {}
    for level in levels:
        name = (
            f'{level.place} {level.level}, stride {level.stride:g}: 90 % in {area(level.field, 0.9).side:.0f} px square'
        )
        place = ((level.pixel[1] + 0.5) / shape[1], (level.pixel[0] + 0.5) / shape[0])
        # Without the padding, which is no part of the picture.
        fields[name] = (level.field.numpy()[: shape[0], : shape[1]], place)
    draw_fields(picture.round().clamp(0, 255).byte().permute(1, 2, 0).numpy(), fields, out)


def titled(args: argparse.Namespace, found: Mapping[str, list['Level']]) -> dict[str, list['Level']]:
    """The levels keyed by the names that the plot gives the weights."""
    before = {'random': 'random weights', 'start': 'before training'}.get(args.before, Path(args.before).name)
    names = {BEFORE: before, AFTER: Path(args.checkpoint or '').name}
    if names[BEFORE] == names[AFTER]:
        names = {key: f'{key}: {name}' for key, name in names.items()}
    return {names[key]: levels for key, levels in found.items()}

"""Parameters and operations of a config's model."""

import argparse
import sys
from pathlib import Path

from mmseq.cli import add_data_arguments, add_model_arguments, command_parser, own_data, plainly
from mmseq.explain import explaining
from mmseq.explain.work import inference

NOTE = (
    'G are 1e9 multiply-adds of one inference, which papers call FLOPs; biases, norms, activations and pooling are not '
    'counted.'
)


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = command_parser(
        'flops',
        'Count parameters and multiply-adds of the model of a config, by module and by operator, recurrent layers '
        'included. Shapes suffice; only a model whose operations depend on values is run. Writes flops.json with every '
        'module into the work dir. If an operator could not be counted, it is named and the exit status is 1.',
        'mmseq flops mmseq::upernet_seq2d_s_ade20k --shape 512 2048',
        'mmseq flops --data data/mine/card.yaml',
    )
    add_model_arguments(parser, optional=True)
    add_data_arguments(parser)
    parser.add_argument(
        '--shape',
        type=int,
        nargs=2,
        metavar=('H', 'W'),
        help='image size in pixels (default: the training crop of a segmentor, 16 : 10 at the test scale of a '
        'detector)',
    )
    parser.add_argument(
        '--depth', type=int, default=2, metavar='N', help='list modules down to this depth (default: 2)'
    )
    return parser


@plainly
def main(argv: list[str] | None = None) -> int:
    """Returns 1 if an operator was not counted, else 0; raises InputError for bad input."""
    args = build_parser().parse_args(argv)
    from mmseq.config import load_config
    from mmseq.errors import InputError
    from mmseq.files import write_json
    from mmseq.measure.complexity import measure
    from mmseq.model.named import title_of

    if args.shape and min(args.shape) < 32:
        raise InputError(f'--shape {args.shape[0]} {args.shape[1]}: backbones need at least 32 x 32 px')
    if args.depth < 1:
        raise InputError(f'--depth {args.depth}: begins at 1')
    change = own_data(args)
    cfg = load_config(args.config, args.cfg_options, args.work_dir, change)
    with explaining(inference(cfg)):
        found = measure(cfg, tuple(args.shape) if args.shape else None, lambda text: print(text, file=sys.stderr))
        height, width = found.shape
        padded = '' if found.padded == found.shape else f' ({found.padded[0]} x {found.padded[1]} after padding)'
        print(f'{title_of(args.config)}: one image of {height} x {width} px{padded}\n')
        rows = found.tree(args.depth)
        width = max(24, *(len(indented(name)) + 1 for name, _, _ in rows))
        print(f'{"module":{width}}{"parameters":>14}{"multiply-adds":>16}')
        for name, held, madds in rows:
            print(row(indented(name), held, madds, width))
        print(row('total', found.total_parameters, found.total_madds, width))
        print(f'\n{"operator":{width}}{"":14}{"multiply-adds":>16}')
        for operator, madds in found.operators.items():
            print(f'{operator:{width}}{"":14}{madds / 1e9:>14.3f} G')
        print(f'\n{NOTE}')
        for assumption in found.assumptions:
            print(f'Assumed: {assumption}.')
        path = write_json(Path(cfg.work_dir) / 'flops.json', dict(config=args.config, note=NOTE, **found.as_dict()))
        print(f'{path}')
        for operator, modules in found.uncounted.items():
            print(f'NOT COUNTED: {operator} in {", ".join(modules[:4])}{" ..." * (len(modules) > 4)}', file=sys.stderr)
        return int(bool(found.uncounted))


def indented(name: str) -> str:
    """The last component of a module's name, indented by its depth."""
    return f'{"  " * name.count(".")}{name.rpartition(".")[2]}'


def row(name: str, parameters: int, madds: int | None, width: int) -> str:
    """One line of the table; modules that are not used in inference are marked "training only"."""
    operations = 'training only' if madds is None else f'{madds / 1e9:.3f} G'
    return f'{name:{width}}{parameters / 1e6:>12.3f} M{operations:>16}'

"""Command line that refreshes model-index.yml and the table made from it."""

import argparse
import sys
from pathlib import Path

from benchmarks.index import model_index, model_tables
from mmseq.cli import run
from mmseq.files import write_text

ROOT = Path(__file__).parents[2]


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks.index',
        description='Refresh model-index.yml from the configs, and from it the table of docs/models.md. '
        'Parameters and operations of models that have not changed are kept; what people wrote '
        '("Reported by authors", "Results") always is.',
        epilog='example: python -m benchmarks.index --all',
    )
    parser.add_argument(
        '--all',
        action='store_true',
        help='count unchanged models again, after a change that counts operations differently: some minutes',
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Returns the exit status; raises InputError for bad input."""
    args = build_parser().parse_args(argv)
    index, document = ROOT / 'model-index.yml', ROOT / 'docs' / 'models.md'
    entries = model_index.refresh(ROOT / 'configs', model_index.read(index), args.all, show)
    table = model_tables.insert(model_tables.DOCUMENT, model_tables.full_table(entries), document.name)
    for path, text in {index: model_index.dump(entries), document: table}.items():
        if not path.exists() or path.read_text(encoding='utf-8') != text:
            write_text(path, text)
            print(f'{path.relative_to(ROOT)}: written')
    return 0


def show(done: int, total: int, name: str) -> None:
    """Progress, on stderr."""
    print(f'{done}/{total} {name}', file=sys.stderr, flush=True)


if __name__ == '__main__':
    run(main)

"""The weights that ship, in mmseq/zoo: those of a run of ``mmseq pretrain``, their card, and the table of the page.

python -m benchmarks.zoo add work_dirs/pretrain_sequencer2d_nano_tiny-imagenet-200 --name sequencer2d_nano_tiny
python -m benchmarks.zoo table
"""

import argparse
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import Tensor

from benchmarks.index.model_tables import markdown
from mmseq.checkpoints import load_backbone, zoo
from mmseq.checkpoints.digest import TENSORS_DIGEST
from mmseq.checkpoints.storage import load_file, load_meta, save_file
from mmseq.checkpoints.zoo import Shipped, shipped
from mmseq.classify.pretrain import BACKBONE, CLASSIFIER
from mmseq.classify.settings import TIMM, config_side
from mmseq.cli import run
from mmseq.engine.launch import evaluate
from mmseq.errors import InputError
from mmseq.files import draft_beside, put_in_place, write_json, write_text
from mmseq.registry import MODELS
from mmseq.runs.run import read_run
from mmseq.weights.weights_file import save_weights

PAGE = Path(__file__).parents[1] / 'docs' / 'pretraining.md'
BEGIN, END = '<!-- made by python -m benchmarks.zoo: begin -->', '<!-- end -->'
# Bytes of a file.
LARGEST = 3_000_000
# Points of top-1 that half precision may cost.
TOLERATED = 0.1
# The folder of the data, what they are called, and on what terms they are to be had.
DATA = {
    'tiny-imagenet-200': ('Tiny ImageNet', "ImageNet's terms of access: non-commercial research and education alone"),
}


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks.zoo', description='The weights that ship, in mmseq/zoo.'
    )
    commands = parser.add_subparsers(dest='command', required=True)
    add = commands.add_parser(
        'add', help='put those of a run of mmseq pretrain into mmseq/zoo, in the place of older ones'
    )
    add.add_argument('work_dir', type=Path, help='of the run')
    add.add_argument('--name', help='of the weights (default: FAMILY_ARCH_tiny)')
    add.add_argument('--licence', help='on what terms the data are to be had (default: known for Tiny ImageNet)')
    add.add_argument('--command', dest='repeat', help='that repeats the run, where it had --cfg-options')
    commands.add_parser('table', help='write the table of docs/pretraining.md anew')
    return parser


def main(argv: list[str] | None = None) -> int:
    """Returns the exit status; raises InputError for bad input."""
    args = build_parser().parse_args(argv)
    if args.command == 'add':
        card = add(args.work_dir, args.name, args.licence, args.repeat)
        print(f'written: {card.file}, {card.file.stat().st_size / 1e6:.2f} MB, {card.dtype}, top-1 {card.top1:.2f} %')
    write_text(PAGE, with_table(PAGE.read_text(encoding='utf-8')))
    return 0


def add(work_dir: Path, name: str | None, licence: str | None, command: str | None) -> Shipped:
    """Put the best weights of a run and their card into the folder; what was there under the name goes.

    Raises:
        InputError: the run has not ended, its weights do not load N/N or are too large, half precision costs too much,
            or the data's licence is not known.
    """
    found = read_run(work_dir, work_dir.name)
    if found.config is None or not (work_dir / BACKBONE).is_file():
        raise InputError(f'work dir {work_dir}: has no {BACKBONE}; end the run of mmseq pretrain first')
    facts = {key: value for key, value in load_meta(work_dir / BACKBONE).items() if key != TENSORS_DIGEST}
    tensors, dtype = fitting(work_dir, float(facts['top1']))
    name = name or f'{facts["family"]}_{facts["arch"]}_tiny'
    target = zoo.FOLDER / f'{name}.safetensors'
    with draft_beside(target, target.suffix) as draft:
        sha256 = save_weights(tensors, draft, facts)
        card = Shipped(
            name=name,
            family=facts['family'],
            arch=facts['arch'],
            **described(facts['data'], licence),
            command=command or command_of(found.config, facts),
            epochs=int(facts['epochs']),
            image_size=config_side(found.config) or 0,
            top1=float(facts['top1']),
            top5=float(facts['top5']),
            hours=round((found.training_seconds() or 0) / 3600, 2),
            parameters=load_strictly(found.config, draft),
            dtype=dtype,
            sha256=sha256,
            mmseq=facts['mmseq'],
        )
        # A card is what makes weights known: at no moment is there one of others.
        path = target.with_suffix('.json')
        path.unlink(missing_ok=True)
        put_in_place(draft, target)
        written = {key: value for key, value in asdict(card).items() if key != 'name'}
        write_json(path, written)
    return card


def described(folder: str, licence: str | None) -> dict[str, str]:
    """The name of the data, and on what terms they are to be had.

    Raises:
        InputError: the terms are not known.
    """
    title, known = DATA.get(folder, (folder, None))
    if not (licence or known):
        raise InputError(f'data {folder}: on what terms they are to be had is not known; say it with --licence')
    return dict(data=title, data_licence=licence or known or '')


def command_of(cfg: Config, facts: Mapping[str, str]) -> str:
    """What repeats a run without options of its own."""
    backbone = f'{TIMM}{facts["arch"]}' if facts['family'] == 'timm' else f'{facts["family"]}_{facts["arch"]}'
    loader, rate = cfg.train_dataloader, cfg.optim_wrapper.optimizer.lr
    return (
        f'mmseq pretrain {backbone} --data {facts["data"]} --epochs {facts["epochs"]} --image-size {config_side(cfg)} '
        f'--batch {loader.batch_size} --lr {rate:g} --seed {cfg.randomness.seed}'
    )


def load_strictly(cfg: Config, file: Path) -> int:
    """Load a file into the backbone of a run and all its tensors from it; gives the number of its parameters.

    Raises:
        InputError: a tensor of either is left over.
    """
    with DefaultScope.overwrite_default_scope('mmengine'):
        backbone: Any = MODELS.build({**cfg.model.backbone, 'init_cfg': None})
    report = load_backbone(backbone, file)
    if report.dropped or report.adapted or report.fresh:
        raise InputError(f'{file.name}: does not load whole: {report}')
    print(f'{report.loaded}/{report.loaded} tensors load')
    return sum(parameter.numel() for parameter in backbone.parameters())


def fitting(work_dir: Path, top1: float) -> tuple[dict[str, Tensor], str]:
    """The weights of a run in the largest of float32 and float16 of which the file is small enough.

    Raises:
        InputError: neither is, or half precision changes top-1.
    """
    tensors: dict[str, Tensor] = load_file(work_dir / BACKBONE)
    if size(tensors) <= LARGEST:
        return tensors, 'float32'
    tensors = halved(tensors)
    if size(tensors) > LARGEST:
        raise InputError(f'{work_dir / BACKBONE}: {size(tensors)} bytes in half precision; at most {LARGEST} may ship')
    with TemporaryDirectory() as folder:
        file = Path(folder, CLASSIFIER)
        save_file(halved(load_file(work_dir / CLASSIFIER)), file)
        found = evaluate(str(work_dir / 'pretrain.py'), str(file), work_dir=folder)['top1']
    if abs(found - top1) > TOLERATED:
        raise InputError(f'{work_dir}: top-1 is {found:.2f} % in half precision and {top1:.2f} % in float32')
    return tensors, 'float16'


def size(tensors: Mapping[str, Tensor]) -> int:
    """Bytes of the numbers."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


def halved(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same with fractions in half precision."""
    return {key: tensor.half() if tensor.is_floating_point() else tensor for key, tensor in tensors.items()}


def with_table(text: str) -> str:
    """The page with the table of all cards.

    Raises:
        InputError: it has not one pair of marks.
    """
    pattern = f'{re.escape(BEGIN)}\n.*?{re.escape(END)}'
    if len(re.findall(pattern, text, re.DOTALL)) != 1:
        raise InputError(f'{PAGE.name}: expected one line {BEGIN} and one {END} after it')
    return re.sub(pattern, lambda _: f'{BEGIN}\n{table()}{END}', text, flags=re.DOTALL)


def table() -> str:
    """A row per card."""
    head = ('name', 'parameters', 'data', 'size', 'epochs', 'hours', 'top-1', 'top-5')
    rows = [
        (
            f'`{card.name}`',
            f'{card.parameters / 1e6:.2f} M',
            card.data,
            f'{card.image_size} px',
            str(card.epochs),
            f'{card.hours:.1f}',
            f'{card.top1:.1f}',
            f'{card.top5:.1f}',
        )
        for card in shipped()
    ]
    return markdown(head, rows) if rows else 'None yet.\n'


if __name__ == '__main__':
    run(main)

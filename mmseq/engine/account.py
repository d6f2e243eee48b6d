"""What a run tells a person in words: its head, an evaluation, its end."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from mmengine.runner import IterBasedTrainLoop, Runner

from mmseq import __version__
from mmseq.checkpoints.folder import best_files, choose_checkpoint, regular_files
from mmseq.engine.bare_model import bare_model
from mmseq.engine.hooks.recipe import RecipeHook
from mmseq.files import from_here
from mmseq.ranks import world_size

# Files of a work dir that people open, in the order in which they are named.
FILES = ('metrics.json', 'per_class.csv', 'curves.png')
# How the notes begin that a data card brings, of which there are many.
FROM_DATA = 'from the data: '
CLASSES = 6
FIGURES = 4
# `coco/bbox_mAP_50`: its table's row and its column.
METRIC = re.compile(r'(.*?)((?:m?AP|AR|mIoU|PQ|SQ|RQ).*)')

# AP at one threshold, of one size of objects, or of LVIS's rare, common and frequent classes.
SPECIAL = re.compile(r'(?:_|AP)(\d+|[sml]|[rcf])$')


def head(what: str, runner: Runner, weights: Sequence[str]) -> list[str]:
    """What is about to happen, in lines.

    Args:
        what: the kind of run.
        runner: of the run, with its model and its loops built and its weights loaded.
        weights: what was said of weights on the way.
    """
    training = what == 'training'
    rows = [
        ('model', describe_model(bare_model(runner.model))),
        *[('weights', text) for text in describe_weights(runner, weights)],
        ('data', describe_data(runner, training)),
        *(rows_of_training(runner) if training else []),
        ('device', describe_device(runner.model)),
        ('outputs', f'{from_here(runner.work_dir)}, log {from_here(runner.logger.log_file or "")}'),
    ]
    return [f'mmseq {__version__}: {what} of {title(runner)}', *(f'  {name:9} {text}' for name, text in rows)]


def title(runner: Runner) -> str:
    """The name of the config; of one that a run left behind, which has none, that of the work dir."""
    name = Path(runner.cfg.filename or 'config').stem
    return Path(runner.work_dir).name if name == 'config' else name


def describe_weights(runner: Runner, said: Sequence[str]) -> Sequence[str]:
    """What the model begins with: a file of a whole model, or what its modules said of theirs."""
    if runner._load_from:
        return [f'{from_here(runner._load_from)}, {"; ".join(said)}']
    return said or ['random: neither init_cfg nor --load-from names any']


def describe_model(model: BaseModel) -> str:
    """Class, backbone, heads and parameters."""
    parts = [type(part).__name__ for name, part in model.named_children() if is_worth_naming(name)]
    numbers = [parameter.numel() for parameter in model.parameters()]
    frozen = sum(parameter.numel() for parameter in model.parameters() if not parameter.requires_grad)
    text = f'{type(model).__name__} ({", ".join(parts)}), ' if parts else f'{type(model).__name__}, '
    return text + f'{counted(sum(numbers))} parameters' + (f', {counted(frozen)} of them frozen' if frozen else '')


def is_worth_naming(child: str) -> bool:
    """Whether a child of a model says what the model is."""
    return child in ('backbone', 'head') or (child.endswith('_head') and child not in ('auxiliary_head', 'rpn_head'))


def counted(number: int) -> str:
    """A number of parameters: 950, 1.1 M."""
    return f'{number / 1e6:.1f} M' if number >= 1e5 else str(number)


def describe_data(runner: Runner, training: bool) -> str:
    """Images and classes."""
    loops = [('train', runner._train_loop), ('validation', runner._val_loop)] if training else []
    loops = [*loops, *([] if training else [('test', runner._test_loop)])]
    sets = [(name, loop.dataloader.dataset) for name, loop in loops if hasattr(loop, 'dataloader')]
    classes = [(getattr(data, 'metainfo', None) or {}).get('classes') for _, data in sets]
    text = ', '.join(f'{name} {len(data)} images' for name, data in sets)
    return text + (f'; {listed(classes[0])}' if classes and classes[0] else '')


def listed(classes: Sequence[str]) -> str:
    """Class names, the first ones of many."""
    names = ', '.join(classes[:CLASSES]) + (', ...' if len(classes) > CLASSES else '')
    return f'{len(classes)} classes: {names}' if len(classes) > 1 else f'1 class: {names}'


def rows_of_training(runner: Runner) -> list[tuple[str, str]]:
    """Batch, rate and length."""
    return [
        *([('batch', text)] if (text := describe_batch(runner)) else []),
        *([('rate', text)] if (text := describe_rate(runner.optim_wrapper)) else []),
        ('length', describe_length(runner)),
        *[('note', text) for text in notes(runner)],
    ]


def describe_batch(runner: Runner) -> str:
    """Images per update; nothing where the loader is of a kind that has no such number."""
    images, updates = (
        runner.cfg.train_dataloader.get('batch_size'),
        getattr(runner.optim_wrapper, '_accumulative_counts', 1),
    )
    if images is None:
        return ''
    factors = f'{images} images x {world_size()} processes x {updates} accumulated'
    return f'effective batch {images * world_size() * updates} ({factors})'


def describe_rate(wrapper: Any) -> str:
    """The optimiser and the highest learning rate of the whole schedule; nothing of several optimisers."""
    if not isinstance(wrapper, OptimWrapper):
        return ''
    groups = wrapper.optimizer.param_groups
    peak = max(max(group.get('initial_lr', group['lr']), group.get('max_lr', 0)) for group in groups)
    return f'{type(wrapper.optimizer).__name__}, peak learning rate {peak:g}'


def describe_length(runner: Runner) -> str:
    """Iterations, epochs and evaluations."""
    loop, batches = runner.train_loop, len(runner.train_dataloader)
    if isinstance(loop, IterBasedTrainLoop):
        text, unit = f'{loop.max_iters} iterations', 'iterations'
    else:
        text, unit = f'{loop.max_epochs} epochs of {batches} iterations', 'epochs'
    begin = f', begins at {runner.iter}' if runner.iter else ''
    return text + begin + (f', evaluated every {loop.val_interval} {unit}' if runner._val_loop else '')


def notes(runner: Runner) -> list[str]:
    """What was changed in the config; of what follows from own data the number."""
    found = [note for hook in runner.hooks if isinstance(hook, RecipeHook) for note in hook.notes]
    many = [note for note in found if note.startswith(FROM_DATA)]
    kept = [note for note in found if note not in many and not note.startswith('effective batch')]
    return [*kept, *([f'{len(many)} settings follow from the data; the log lists them'] if many else [])]


def describe_device(model: torch.nn.Module) -> str:
    """Where the model is."""
    device = next(iter(model.parameters())).device
    if device.type == 'cuda':
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f'cpu, {threads} thread{"s" * (threads > 1)}' if device.type == 'cpu' else str(device)


def memory() -> str:
    """The most memory that this process has taken so far: of the GPU, or else main memory."""
    if torch.cuda.is_available():
        return f'{torch.cuda.max_memory_allocated() / 2**30:.1f} GB'
    try:
        import resource
    except ImportError:
        # Not on Windows.
        return ''
    # In kilobytes on Linux.
    return f'{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GB'


def duration(seconds: float) -> str:
    """A time in words: 42 s, 3 min 12 s, 5 h 2 min."""
    whole = round(seconds)
    if whole < 60:
        return f'{whole} s'
    if whole < 3600:
        return f'{whole // 60} min {whole % 60} s'
    return f'{whole // 3600} h {whole % 3600 // 60} min'


def table(metrics: Mapping[str, Any]) -> list[str]:
    """The figures of an evaluation, a row for each kind of prediction: box AP above mask AP."""
    rows: dict[str, dict[str, str]] = {}
    for name, value in metrics.items():
        if isinstance(value, (int, float)):
            row, column = match.groups() if (match := METRIC.fullmatch(name)) else ('', name)
            rows.setdefault(row.rstrip('_'), {})[column] = f'{value:.4g}'
    width = max(map(len, rows), default=0)
    lines: list[str] = []
    columns: list[str] = []
    for name, cells in rows.items():
        if columns != [*cells]:
            columns = [*cells]
            lines.append(f'  {"":{width}}' + ''.join(f' {column:>9}' for column in columns))
        lines.append(f'  {name:{width}}' + ''.join(f' {cells[column]:>{max(9, len(column))}}' for column in columns))
    return lines


def figures(metrics: Mapping[str, Any], best: Any = None) -> str:
    """The first figures of an evaluation in one line, and the best score of a run if one is kept."""
    plain = [name for name, value in metrics.items() if isinstance(value, (int, float)) and not SPECIAL.search(name)]
    shown = [f'{name} {metrics[name]:.4g}' for name in plain]
    return ', '.join(shown[:FIGURES]) + (f'; best {best:.4g}' if best is not None else '')


def end(what: str, runner: Runner, seconds: float, metrics: Mapping[str, Any]) -> list[str]:
    """The end of a run: its latest figures, its files, and the commands that go on."""
    folder, training = Path(runner.work_dir), what == 'training'
    shown = from_here(folder)
    names = [path.name for path in [*best_files(folder)[-1:], *regular_files(folder)[-1:]]] if training else []
    names += [name for name in FILES if (folder / name).is_file() and (training or name != 'curves.png')]
    lines = [f'done in {duration(seconds)}', f'  {"files":9} {shown}: {", ".join(names)}']
    if metrics and training:
        best = runner.message_hub.runtime_info.get('best_score')
        lines.insert(1, f'  {"figures":9} {figures(metrics, best)}')
    # The commands are for detectors and segmentors.
    commands = next_commands(folder) if runner.cfg.get('default_scope') in ('mmdet', 'mmseg') else []
    return lines + [f'  {"" if number else "next":9} {command}' for number, command in enumerate(commands)]


def next_commands(folder: Path) -> list[str]:
    """What to type after a run: its page, and, where it has a checkpoint, predictions."""
    shown = from_here(folder)
    if not regular_files(folder):
        return [f'mmseq report {shown}']
    taken = choose_checkpoint(folder)[0].name
    return [f'mmseq report {shown}', f'mmseq infer {shown} IMAGES    (with {taken})']

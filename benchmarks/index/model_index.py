"""`model-index.yml`: an entry per config, of which the table of docs/models.md is made.

Everything in an entry is read from the config, counted or looked up, but for two keys, which people write and a refresh
keeps: ``Reported by authors`` and ``Results``, what we have run ourselves.
"""

import ast
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from mmengine.config import Config

from mmseq.checkpoints.published import find_published
from mmseq.engine.own.task import task_of
from mmseq.errors import InputError
from mmseq.measure.complexity import measure, parameters
from mmseq.model.build import build
from mmseq.model.shape import usual_shape

HEAD = """\
# Made by python -m benchmarks.index from the configs; a test compares. Two keys are written by hand and kept:
# "Reported by authors" (Metrics, Source, and Second-hand where others quote the authors) and "Results", what we have
# run (Metrics and Command).
# Multiply-adds are those of one inference at Image (height, width), which papers call FLOPs.
"""
KEPT = ('Reported by authors', 'Results')
# The first that is in a config's name counts: longer ones come before those that they begin with.
DATA = {
    'ade20k': 'ADE20K',
    'coco_rem': 'COCO-ReM',
    'coco': 'COCO 2017',
    'imagenet': 'ImageNet-1k',
    'shapes': 'embedded shapes',
    'lvis': 'LVIS v1',
    'cityscapes': 'Cityscapes',
    'pascal_context_59': 'Pascal Context (59)',
    'pascal_context': 'Pascal Context (60)',
    'voc12_aug': 'VOC 2012 + SBD',
    'voc12': 'VOC 2012',
    'voc0712': 'VOC 2007 + 2012',
}
Entry = dict[str, Any]


def read(path: Path) -> list[Entry]:
    """The entries of an index; none if there is no such file.

    Raises:
        InputError: it is no index.
    """
    if not path.exists():
        return []
    try:
        return list(yaml.safe_load(path.read_text(encoding='utf-8'))['Models'])
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise InputError(
            f'{path}: is no index of models ({error}); restore it and run python -m benchmarks.index'
        ) from error


def dump(entries: Iterable[Entry]) -> str:
    """The index as a file's text."""
    text = yaml.safe_dump({'Models': list(entries)}, sort_keys=False, width=120, allow_unicode=True)
    return f'{HEAD}{text}'


def describe(path: Path, cfg: Config) -> Entry:
    """All of an entry that the config itself says; nothing is built or counted.

    Args:
        path: the config, in the folder of the others.
        cfg: what is in it.
    """
    model, backbone = cfg.model, cfg.model.backbone
    parts = (backbone.type, (model.get('neck') or {}).get('type'), model.type, *head_types(model))
    # A timm model has a name in place of an arch.
    arch = backbone.get('arch', backbone.get('name'))
    data = (title for key, title in DATA.items() if f'_{key}_' in f'{path.stem}_')
    return {
        'Name': path.stem,
        'Config': f'configs/{path.name}',
        'Metadata': {
            'Architecture': list(dict.fromkeys(part.rpartition('.')[2] for part in parts if part)),
            'Arch': arch if isinstance(arch, str) else None,
            'Task': task(path, cfg),
            'Training Data': next(data, None),
        },
        'Recipe': recipe(path),
        'Backbone weights': weights((backbone.get('init_cfg') or {}).get('checkpoint')),
        'Fingerprint': fingerprint(cfg),
    }


def task(path: Path, cfg: Config) -> str:
    """What a config's model finds, by the word that `mmseq configs --task` takes."""
    if 'panoptic' in path.stem.split('_'):
        return 'panoptic'
    if cfg.model.type == 'mmseq.ImageClassifier':
        return 'classes'
    return task_of(cfg, path.stem)


def head_types(model: Mapping[str, Any]) -> list[str]:
    """What stands behind backbone and neck when a model infers."""
    heads = [model.get(key) for key in ('decode_head', 'bbox_head', 'roi_head')]
    heads = [head for part in heads if part for head in (part if isinstance(part, (list, tuple)) else [part])]
    return [head['type'] for head in heads if 'type' in head]


def fingerprint(cfg: Config) -> str:
    """Of all that the counted figures depend on in a config."""
    text = json.dumps([cfg.model.to_dict(), image(cfg)], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def image(cfg: Config) -> list[int] | None:
    """Height and width at which a config's model is counted; None if the config does not tell."""
    try:
        return list(usual_shape(cfg))
    except InputError:
        return None


def recipe(path: Path) -> str | None:
    """The recipe in the config's docstring, or in that of the one it says it is as."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding='utf-8'))) or ''
    own = re.search(r'^Recipe: (.+?)(?=^\w+: |\Z)', text, re.MULTILINE | re.DOTALL)
    other = re.match(r'As ([\w-]+\.py)', text)
    if own:
        return ' '.join(own[1].split())
    return recipe(path.with_name(other[1])) if other else None


def weights(address: str | None) -> Entry | None:
    """What is known of the weights that a backbone starts from; None if it starts from random ones."""
    if not address:
        return None
    row = find_published(address)
    if row is None:
        return {'Name': address.rpartition('/')[2], 'Address': address}
    return {
        'Name': row.name,
        'Address': row.address,
        'sha256': row.sha256,
        'Licence': row.licence,
        'ImageNet top-1 reported by authors': row.reported_top1,
    }


def figures(cfg: Config) -> Entry:
    """Parameters and multiply-adds, counted."""
    try:
        found = measure(cfg)
    except InputError as error:
        return {'Parameters': sum(parameters(build(cfg)).values()), 'Not counted': str(error)}
    result: Entry = {'Parameters': found.total_parameters, 'Multiply-adds': found.total_madds, 'Image': image(cfg)}
    if found.uncounted:
        # A figure that is too low is none.
        del result['Multiply-adds']
        result['Not counted'] = ', '.join(found.uncounted)
    return result


def refresh(
    configs: Path, old: Iterable[Entry], again: bool = False, progress: Callable[[int, int, str], None] | None = None
) -> list[Entry]:
    """All entries anew.

    Args:
        configs: the folder of the configs.
        old: entries from before; what people wrote is kept, and so are the figures of models that have not changed.
        again: count those too.
        progress: is told how many are done, of how many, and which.

    Raises:
        InputError: there are no configs.
    """
    before = {entry['Name']: entry for entry in old}
    paths = sorted(configs.glob('*.py'))
    if not paths:
        raise InputError(f'{configs}: no configs there; run this from a checkout of mmseq')
    entries = []
    for i, path in enumerate(paths):
        cfg = Config.fromfile(path)
        entry, past = describe(path, cfg), before.get(path.stem, {})
        fresh = again or past.get('Fingerprint') != entry['Fingerprint']
        entry['Metadata'] |= figures(cfg) if fresh else counted(past)
        entries.append(entry | {key: past[key] for key in KEPT if key in past})
        if progress:
            progress(i + 1, len(paths), path.stem)
    return entries


def counted(entry: Entry) -> Entry:
    """The figures of an entry that cost time."""
    keys = ('Parameters', 'Multiply-adds', 'Image', 'Not counted')
    return {key: entry['Metadata'][key] for key in keys if key in entry['Metadata']}

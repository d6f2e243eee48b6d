"""The card of a published model: what the hub reads of it, and what people do."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from mmseq.runs.run import main_metrics

# The hub's word for each task.
PIPELINES = {'object-detection': 'object-detection'}
SEGMENTATION = 'image-segmentation'
# The hub has no word for a licence that nobody named; this one it shows.
NO_LICENCE = 'unknown'
FEW = 40
# mmseq is on no package index.
INSTALL = "pip install -c constraints.txt -e '.[mm]'  # in a clone of mmseq's repository"


@dataclass(frozen=True)
class About:
    """What is known of a model.

    Args:
        task: ``object-detection``, ``instance-segmentation``, ``semantic-segmentation`` or ``panoptic-segmentation``.
        model: its class.
        backbone: the class of its backbone.
        parameters: their number.
        classes: their names.
        metrics: by name.
        sha256: of the file of weights.
        version: of mmseq that wrote it.
    """

    task: str
    model: str
    backbone: str
    parameters: int
    classes: tuple[str, ...]
    metrics: Mapping[str, float]
    sha256: str
    version: str


def card(about: About, title: str, licence: str | None, picture: str | None) -> str:
    """README.md: front matter in YAML, then Markdown.

    Args:
        about: the model.
        title: ``OWNER/NAME`` on the hub, else the name of the folder.
        licence: None if it is unspecified.
        picture: name of the file of an image in the folder, if there is one.
    """
    front = yaml.safe_dump(front_matter(about, title, licence), sort_keys=False, allow_unicode=True)
    address = f'hf://{title}' if '/' in title else title
    lines = [
        f'# {title.rpartition("/")[2]}',
        '',
        f'{about.model} with {about.backbone}: {about.task.replace("-", " ")}.',
        '',
    ]
    lines += [f'![An image with its predictions]({picture})', ''] if picture else []
    lines += ['## Use', '', '```bash', INSTALL, f'mmseq infer {address} pictures/', '```', '']
    lines += ['```python', 'import mmseq', '', f"result = mmseq.load('{address}')('picture.jpg')", '```', '']
    lines += ['## Figures', '', *(figures(about.metrics) or ['It was not evaluated.']), '']
    lines += [f'## Classes ({len(about.classes)})', '', listed(about.classes), '']
    lines += ['## Facts', '', '| | |', '|---|---|']
    lines += [f'| parameters | {about.parameters / 1e6:.1f} M |', f'| licence | {licence or "unspecified"} |']
    lines += [f'| mmseq | {about.version} |', f'| sha256 of the weights | `{about.sha256}` |']
    return f'---\n{front}---\n\n' + '\n'.join(lines) + '\n'


def front_matter(about: About, title: str, licence: str | None) -> dict[str, Any]:
    """What the hub reads."""
    pipeline = PIPELINES.get(about.task, SEGMENTATION)
    found: dict[str, Any] = dict(
        license=licence or NO_LICENCE,
        library_name='mmseq',
        pipeline_tag=pipeline,
        tags=['mmseq', about.task, about.backbone.lower()],
    )
    if about.metrics:
        main = main_metrics(about.metrics)
        rows = [dict(type=name.rpartition('/')[2], name=name, value=about.metrics[name]) for name in main]
        result = dict(task=dict(type=pipeline), dataset=dict(name='own', type='own'), metrics=rows)
        found['model-index'] = [dict(name=title.rpartition('/')[2], results=[result])]
    return found


def figures(metrics: Mapping[str, float]) -> list[str]:
    """A table of all metrics."""
    rows = [f'| {name} | {value:.4g} |' for name, value in metrics.items()]
    return ['| metric | value |', '|---|---|', *rows] if rows else []


def listed(names: tuple[str, ...]) -> str:
    """The first names, and how many more there are."""
    more = f' and {len(names) - FEW} more, in classes.txt' if len(names) > FEW else ''
    return ', '.join(names[:FEW]) + more

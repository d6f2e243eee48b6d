"""Formats of labelling tools that are not read, each with what to export in its place."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmseq.datasets.own.tree import Tree

# What is read of a file to tell its format.
HEAD = 1 << 16
# Tools write one kind of file; one of the first tells it, though others may lie before it.
FILES = 50


@dataclass(frozen=True)
class Foreign:
    """A format that is known and not read.

    Args:
        name: of the format and of the tool that writes it.
        suffixes: of its files, in lower case.
        sign: what is in the first part of such a file.
        advice: what to do, after "it is not read;".
    """

    name: str
    suffixes: Sequence[str]
    sign: re.Pattern[str]
    advice: str


COLUMNS = r'xmin"?,"?ymin|x1"?,"?y1|bbox|XMin"?,"?XMax'
FOREIGN = (
    Foreign(
        'a project of the VGG Image Annotator (VIA)',
        ('.json', '.csv'),
        re.compile(r'"region_attributes"|region_shape_attributes|"_via_'),
        'export it from VIA in COCO format',
    ),
    Foreign(
        "Label Studio's own JSON",
        ('.json',),
        re.compile(r'"from_name"|"completed_by"|"annotation_id"\s*:|"completions"'),
        'export it from Label Studio as COCO, YOLO or Pascal VOC XML, with the images',
    ),
    Foreign(
        "Labelbox's JSON",
        ('.json', '.ndjson'),
        re.compile(r'"data_row"|"Labeled Data"'),
        'convert it to COCO json',
    ),
    Foreign(
        "Supervisely's JSON",
        ('.json',),
        re.compile(r'"classTitle"|"projectType"'),
        'export it from Supervisely as COCO, YOLO or Pascal VOC',
    ),
    Foreign("V7's Darwin json", ('.json',), re.compile(r'"bounding_box"\s*:\s*\{'), 'export it from V7 as COCO'),
    Foreign('CreateML json', ('.json',), re.compile(r'"coordinates"\s*:\s*\{'), 'export it as COCO json'),
    Foreign('Datumaro json', ('.json',), re.compile(r'"dm_format_version"'), 'export it as COCO'),
    Foreign('Scalabel (BDD100K) json', ('.json',), re.compile(r'"box2d"|"poly2d"'), 'convert it to COCO with scalabel'),
    Foreign(
        'a table of boxes (csv)',
        ('.csv',),
        re.compile(rf'\A.*(?:{COLUMNS})|\A[^,\n]+(?:,-?[\d.]+){{4}},[^,\n]+\.\w+,\d+,\d+\s*$', re.MULTILINE),
        'export COCO json, YOLO or Pascal VOC XML from the tool that wrote it',
    ),
)


def find(tree: Tree) -> str:
    """What there is of such a format and what to do, in one line; empty for nothing."""
    for one in FOREIGN:
        for path in tree.ending(*one.suffixes)[:FILES]:
            if one.sign.search(_head(path)):
                return f'{tree.relative(path)} is {one.name}, which is not read; {one.advice}'
    return ''


def _head(path: Path) -> str:
    with path.open('rb') as file:
        return file.read(HEAD).decode('utf-8-sig', 'ignore')

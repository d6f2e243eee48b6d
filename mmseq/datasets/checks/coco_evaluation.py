"""What COCO's evaluation asks of annotations beyond what training does; it would end in a traceback after inference."""

from typing import Any

import numpy as np

from mmseq.datasets.checks.coco_annotations import ABSENT, Annotations, Rows
from mmseq.datasets.checks.findings import Report


def check_evaluated(report: Report, images: Rows, categories: Rows, annotations: Annotations) -> None:
    """Crowds are marked by a number, annotations are numbered, ids are of one type."""
    if unmarked := annotations.marks_as_read:
        place, value = next(iter(unmarked.items()))
        first = annotations.id_at(place)
        found = 'is absent' if value is ABSENT else f'is {value!r:.40}'
        report.error(
            'iscrowd',
            f'{report.where}: iscrowd {found} in {len(unmarked)} of {len(annotations)} annotations, first annotation '
            f'{first!r}; write 0 or 1, the evaluation reads it',
            str(first),
            len(unmarked),
        )
    named = annotations.ids.dtype != np.int64
    unnumbered = [one for one in annotations.ids.tolist() if not numeric(one)] if named else []
    if unnumbered:
        report.error(
            'annotation_ids',
            f'{report.where}: {len(unnumbered)} of {len(annotations)} annotations have an id that is no number, first '
            f'{unnumbered[0]!r}; number them from 1, the evaluation keeps ids as numbers',
            unnumbered[0],
            len(unnumbered),
        )
    for key, rows in (('images', images), ('categories', categories)):
        texts = [row['id'] for row in rows if isinstance(row['id'], str)]
        if 0 < len(texts) < len(rows):
            report.error(
                'mixed_ids',
                f'{report.where}: {len(texts)} of {len(rows)} ids of {key} are text, first {texts[0]!r}, the others '
                'numbers; write all in one way, the evaluation sorts them',
                texts[0],
                len(texts),
            )


def numeric(value: Any) -> bool:
    """Whether numpy takes it as a number, as the evaluation does."""
    try:
        float(value)
    except ValueError:
        return False
    return True

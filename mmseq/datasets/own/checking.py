"""The project's data check of what a card names."""

from pathlib import Path

from mmseq.datasets.checks import Report, Use, examine_coco, examine_seg
from mmseq.datasets.own.card import Card
from mmseq.errors import InputError


def examine(card: Card, part: str) -> Report:
    """What is wrong with one part of a card's data."""
    chosen = card.parts[part]
    images, labels = str(chosen.images), str(chosen.labels)
    trained = part == 'train'
    if card.task == 'semantic':
        suffixes = (chosen.image_suffix, chosen.label_suffix)
        return examine_seg(
            images, labels, *suffixes, len(card.classes), card.reduce_zero_label, card.ignore_index, card.classes
        )
    use = Use(trained=trained, coco_metric=not trained, masks=card.task == 'instances')
    return examine_coco(labels, images, card.classes, use=use)


def check_part(card: Card, part: str, draft: Path, target: Path) -> list[str]:
    """Check one part of what is being written; its warnings, naming the files as they will be called.

    Raises:
        InputError: no training could use it.
    """
    report = examine(card, part)
    for finding in report.errors():
        raise InputError(finding.message.replace(str(draft), str(target)))
    return [f'{finding.count}: {finding.message}'.replace(str(draft), str(target)) for finding in report.warnings()]

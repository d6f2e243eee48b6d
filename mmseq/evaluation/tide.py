"""What keeps a detector's AP50 down, by kind of error: TIDE (Bolya et al., ECCV 2020, arXiv 2008.08115).

Every false detection is of one kind, by its overlaps with true objects, used or not (foreground from 0.5, background to
0.1):

    Loc   right class, overlap between background and foreground
    Cls   wrong class, foreground
    Dupe  right class, foreground, but a detection of higher score has that object
    Bkg   background
    Both  wrong class, and overlap between background and foreground

in this order where several hold. Miss are the objects that no detection found and that no Cls or Loc would. A kind's
dAP is what AP50 would gain without it: a Cls or Loc becomes a match if it has the highest score of those that would
find its object, and is removed if not; the other false detections are removed; missed objects are not asked for.
Where the paper leaves a choice, this is what its authors' code does.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from mmseq.evaluation.matching import LEAST_OVERLAP, Matches

FALSE_KINDS = ('Cls', 'Loc', 'Both', 'Dupe', 'Bkg')
FOREGROUND, BACKGROUND = 0.5, LEAST_OVERLAP
_RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True)
class ErrorKinds:
    """The kinds of errors of D detections and G true objects.

    Attributes:
        kinds: (D,) index among ``FALSE_KINDS``, or -1 for a match.
        fixed_classes: (D,) the class as which fixing makes a match of a Cls or Loc, or -1.
        missed: (G,) whether nothing found the object, nor would with another class or place.
    """

    kinds: np.ndarray
    fixed_classes: np.ndarray
    missed: np.ndarray


def classify_errors(matches: Matches) -> ErrorKinds:
    """The kind of every false detection."""
    same = matches.classes[matches.pairs[:, 0]] == matches.truth_classes[matches.pairs[:, 1]]
    own_best, own = _best(matches, same)
    other_best, other = _best(matches, ~same)
    bkg = FALSE_KINDS.index('Bkg')
    kinds = np.select(
        [
            matches.matched >= 0,
            (own_best >= BACKGROUND) & (own_best <= FOREGROUND),
            other_best >= FOREGROUND,
            own_best >= FOREGROUND,
            np.maximum(own_best, other_best) <= BACKGROUND,
        ],
        [-1, *(FALSE_KINDS.index(kind) for kind in ('Loc', 'Cls', 'Dupe')), bkg],
        FALSE_KINDS.index('Both'),
    )
    target = np.select([kinds == FALSE_KINDS.index('Cls'), kinds == FALSE_KINDS.index('Loc')], [other, own], -1)
    found = matches.found()
    # at the end, for the target -1
    target[np.append(found, True)[target]] = -1
    # detections are sorted, so the first of those with the same target has the highest score
    targets, first = np.unique(target, return_index=True)
    targets, first = targets[targets >= 0], first[targets >= 0]
    fixed = np.full(len(kinds), -1)
    fixed[first] = matches.truth_classes[targets]
    missed = ~found
    missed[targets] = False
    return ErrorKinds(kinds, fixed, missed)


def _best(matches: Matches, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each detection its largest overlap among the pairs ``which`` (P,), 0 if none, and with what object."""
    (detections, objects), ious = matches.pairs[which].T, matches.ious[which]
    best, target = np.zeros(len(matches.scores)), np.full(len(matches.scores), -1)
    if not len(ious):
        return best, target
    # pairs are in the order of the detections
    firsts = np.flatnonzero(np.diff(detections, prepend=-1))
    largest = np.maximum.reduceat(ious, firsts)
    best[detections[firsts]] = largest
    at = np.flatnonzero(ious == np.repeat(largest, np.diff(firsts, append=len(ious))))
    # of equal overlaps the first object: it is written last
    target[detections[at[::-1]]] = objects[at[::-1]]
    return best, target


def average_precision(scores: np.ndarray, right: np.ndarray, objects: int) -> float:
    """Interpolated precision at 101 recalls, as pycocotools has it.

    Args:
        scores: (D,) in falling order.
        right: (D,) whether the detection is a match.
        objects: number of true objects, more than 0.
    """
    matches = np.cumsum(right)
    precision = matches / (np.arange(1, len(scores) + 1) + np.spacing(1))
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(matches / objects, _RECALLS, side='left')
    return float(np.append(envelope, 0)[np.minimum(at, len(scores))].mean())


class _Detections:
    """All detections of an evaluation by falling score, and the numbers of objects of K classes."""

    def __init__(self, matches: Matches, errors: ErrorKinds, classes: int) -> None:
        order = np.argsort(-matches.scores, kind='stable')
        self.scores = matches.scores[order]
        # numpy sorts small integers in linear time
        self.classes = matches.classes[order].astype(np.min_scalar_type(classes))
        self.by_class = np.argsort(self.classes, kind='stable')
        self.kinds = errors.kinds[order]
        self.fixed = errors.fixed_classes[order]

        def count(which: np.ndarray) -> np.ndarray:
            return np.bincount(matches.truth_classes[which], minlength=classes)

        self.objects = count(np.ones(len(matches.truth_classes), dtype=bool))
        self.missed = count(errors.missed)
        self.unfound = count(~matches.found())

    def mean_ap(self, without: str = '') -> float | None:
        """AP50 over the classes that have objects, without a kind of error; None if no class has any."""
        present = np.flatnonzero(self.objects)
        if not present.size:
            return None
        classes, order, right, objects = self.classes, self.by_class, self.kinds < 0, self.objects
        stays = np.ones(len(self.kinds), dtype=bool)
        if without in FALSE_KINDS:
            wrong = self.kinds == FALSE_KINDS.index(without)
            fixed = wrong & (self.fixed >= 0)
            right, stays = right | fixed, ~wrong | fixed
            if (self.fixed[fixed] != classes[fixed]).any():
                classes = np.where(fixed, self.fixed, classes).astype(classes.dtype)
                order = np.argsort(classes, kind='stable')
        elif without == 'FalsePos':
            stays = right
        elif without:
            objects = objects - {'Miss': self.missed, 'FalseNeg': self.unfound}[without]
        kept = order[stays[order]]
        starts = np.searchsorted(classes[kept], np.arange(len(objects) + 1))
        values = []
        for k in present:
            mine = kept[starts[k] : starts[k + 1]]
            if objects[k]:
                values.append(average_precision(self.scores[mine], right[mine], int(objects[k])))
            elif mine.size:
                # nothing to find any more, and something is found nevertheless
                values.append(0.0)
        return float(np.mean(values)) if values else 0.0


def analyse(matches: Matches, classes: int) -> dict[str, Any]:
    """Errors of an evaluation by kind.

    Args:
        matches: what was matched at an overlap of 0.5.
        classes: number of classes.

    Returns:
        ``AP50`` as a fraction, ``dAP`` with the gain of AP50 for each kind, FalsePos (no false detections) and FalseNeg
        (no objects but those found), ``counts`` of the same, and the numbers of ``objects`` and ``detections``. AP50
        and gains are None where no class has objects.
    """
    every = _Detections(matches, classify_errors(matches), classes)
    counts = {kind: int((every.kinds == i).sum()) for i, kind in enumerate(FALSE_KINDS)}
    counts |= {'Miss': every.missed.sum(), 'FalsePos': sum(counts.values()), 'FalseNeg': every.unfound.sum()}
    ap = every.mean_ap()
    without = {kind: every.mean_ap(kind) for kind in counts}
    gains = {kind: None if ap is None or gained is None else max(gained - ap, 0.0) for kind, gained in without.items()}
    return {
        'AP50': ap,
        'dAP': gains,
        'counts': {kind: int(count) for kind, count in counts.items()},
        'objects': int(every.objects.sum()),
        'detections': len(every.scores),
    }

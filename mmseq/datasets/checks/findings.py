"""What a check of a data set found: kinds of faults with exact counts, the first of each kind in one line."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from mmseq.errors import InputError

SHOWN_NAMES = 8
KEPT_EXAMPLES = 20


@dataclass
class Finding:
    """One kind of fault.

    Attributes:
        kind: its name, as ``truncated``.
        level: ``error`` ends a check and a training, ``warning`` does not.
        message: what is wrong with the first one, where, and what to do; one line.
        count: how many there are.
        examples: names of the first ones.
    """

    kind: str
    level: str
    message: str
    count: int = 0
    examples: list[str] = field(default_factory=list)


@dataclass
class Report:
    """The findings in one data set.

    Attributes:
        where: the annotation file or the folder of images.
        total: images of the data set.
        checked: images that were opened.
        findings: by kind, in the order in which they turned up.
    """

    where: str
    total: int = 0
    checked: int = 0
    findings: dict[str, Finding] = field(default_factory=dict)

    def error(self, kind: str, message: str, name: str | None = None, count: int = 1) -> None:
        """Count a fault that must be fixed."""
        self._add(kind, 'error', message, name, count)

    def warning(self, kind: str, message: str, name: str | None = None, count: int = 1) -> None:
        """Count something that is unusual but may be intended."""
        self._add(kind, 'warning', message, name, count)

    def counts(self) -> dict[str, int]:
        """How many of each kind."""
        return {kind: finding.count for kind, finding in self.findings.items()}

    def errors(self) -> list[Finding]:
        """The findings that must be fixed."""
        return [finding for finding in self.findings.values() if finding.level == 'error']

    def warnings(self) -> list[Finding]:
        """The findings that may be intended."""
        return [finding for finding in self.findings.values() if finding.level == 'warning']

    def raise_first(self) -> None:
        """Raises InputError with the first error, if there is one."""
        for finding in self.errors():
            raise InputError(finding.message)

    def record(self) -> dict[str, Any]:
        """The report in JSON's own types."""
        return {
            'where': self.where,
            'images': self.total,
            'images_opened': self.checked,
            'findings': [vars(finding) for finding in self.findings.values()],
        }

    def _add(self, kind: str, level: str, message: str, name: str | None, count: int) -> None:
        finding = self.findings.setdefault(kind, Finding(kind, level, message))
        finding.count += count
        if name is not None and len(finding.examples) < KEPT_EXAMPLES:
            finding.examples.append(name)


def listed(names: Sequence[str]) -> str:
    """The first names of a list, and how many more there are."""
    shown = ', '.join(repr(name) for name in names[:SHOWN_NAMES])
    return shown + (f' and {len(names) - SHOWN_NAMES} more' if len(names) > SHOWN_NAMES else '')


def spaced(rows: list[Any], count: int | None) -> list[Any]:
    """At most `count` of the rows (None: all), evenly spaced, with the first and the last."""
    if count is None or len(rows) <= count:
        return rows
    return [rows[round(k * (len(rows) - 1) / max(1, count - 1))] for k in range(count)]

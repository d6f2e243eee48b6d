"""Tables in Markdown, made from `model-index.yml`."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from mmseq.errors import InputError

Entry = dict[str, Any]
BEGIN, END = '<!-- made by python -m benchmarks.index: begin -->', '<!-- end -->'
DOCUMENT = f"""\
# Models

Every config, with the parameters of its model, the multiply-adds of one inference at the given size (papers call them
FLOPs), the weights that the backbone starts from, and the known figures. *Reported* figures are those of the backbone's
authors; *second-hand* means that others quote them. *Ours* are those that we have measured ourselves.

`mmseq configs` lists the configs, `mmseq flops CONFIG` measures one, and [which model, how long, how much
memory](choosing.md) helps you to choose. `model-index.yml` has the same table for programs, with recipes and addresses.

{BEGIN}
{END}
"""


def insert(text: str, table: str, name: str) -> str:
    """Put a table between the marks of a text, in place of what stands there.

    Raises:
        InputError: the text has not one pair of marks.
    """
    pattern = f'{re.escape(BEGIN)}\n.*?{re.escape(END)}'
    if len(re.findall(pattern, text, re.DOTALL)) != 1:
        raise InputError(f'{name}: expected one line {BEGIN} and one {END} after it')
    return re.sub(pattern, lambda match: f'{BEGIN}\n{table}{END}', text, flags=re.DOTALL)


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows as a table."""
    lines = [head, ['---'] * len(head), *rows]
    return ''.join(f'| {" | ".join(line)} |\n' for line in lines)


def full_table(entries: Iterable[Entry]) -> str:
    """A row per config."""
    rows = [
        (
            f'[{entry["Name"]}](../{entry["Config"]})',
            f'{entry["Metadata"]["Parameters"] / 1e6:.1f} M',
            operations(entry),
            (entry['Backbone weights'] or {}).get('Name', 'none'),
            metrics(entry, 'Reported by authors'),
            metrics(entry, 'Results'),
        )
        for entry in entries
    ]
    return markdown(('config', 'parameters', 'multiply-adds', 'backbone weights', 'reported', 'ours'), rows)


def operations(entry: Entry) -> str:
    """Multiply-adds in words, with the size of the image."""
    found = entry['Metadata'].get('Multiply-adds')
    if found is None:
        return 'not counted'
    size = ' x '.join(map(str, entry['Metadata']['Image']))
    return f'{number(found)} G at {size}'


def number(madds: int) -> str:
    """In 1e9, with three digits at least."""
    return f'{madds / 1e9:.0f}' if madds >= 99.5e9 else f'{madds / 1e9:.3g}'


def metrics(entry: Entry, key: str) -> str:
    """The figures of an entry under a key, in words."""
    found = entry.get(key, {})
    text = ', '.join(f'{name} {value}' for name, value in found.get('Metrics', {}).items())
    return f'{text} (second-hand)' if found.get('Second-hand') else text

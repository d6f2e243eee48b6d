"""Tables in Markdown, made from `model-index.yml`."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mmseq.errors import InputError

Entry = dict[str, Any]
# What stands before and after the size in a config's name.
Key = tuple[str, str]
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
            operations(entry, at=True),
            (entry['Backbone weights'] or {}).get('Name', 'none'),
            metrics(entry, 'Reported by authors'),
            metrics(entry, 'Results'),
        )
        for entry in entries
    ]
    return markdown(('config', 'parameters', 'multiply-adds', 'backbone weights', 'reported', 'ours'), rows)


def operations(entry: Entry, at: bool = False) -> str:
    """Multiply-adds in words."""
    found = entry['Metadata'].get('Multiply-adds')
    if found is None:
        return 'not counted'
    size = ' x '.join(map(str, entry['Metadata']['Image']))
    return f'{number(found)} G at {size}' if at else number(found)


def number(madds: int) -> str:
    """In 1e9, with three digits at least."""
    return f'{madds / 1e9:.0f}' if madds >= 99.5e9 else f'{madds / 1e9:.3g}'


def metrics(entry: Entry, key: str) -> str:
    """The figures of an entry under a key, in words."""
    found = entry.get(key, {})
    text = ', '.join(f'{name} {value}' for name, value in found.get('Metrics', {}).items())
    return f'{text} (second-hand)' if found.get('Second-hand') else text


def short_table(entries: Iterable[Entry]) -> str:
    """A row per group of configs that differ in size alone, or in a schedule that changes nothing of the models.

    Groups of one size of which no figure is known are left to the full table.
    """
    groups: dict[Key, list[Entry]] = {}
    for entry in sorted(entries, key=lambda entry: entry['Metadata']['Parameters']):
        before, _, after = split_name(entry)
        groups.setdefault((before, after), []).append(entry)
    behind = {longer for key in groups for longer in schedules(key, groups)}
    shown = [key for key in sorted(groups) if key not in behind and (len(groups[key]) > 1 or has_figures(groups[key]))]
    rows = [short_row(key, groups, schedules(key, groups)) for key in shown]
    head = ('configs', 'parameters (M)', 'multiply-adds (G)', "reported by the backbone's authors", 'run by us')
    return markdown(head, rows)


def has_figures(group: Iterable[Entry]) -> bool:
    """Whether anything is known of how well they do."""
    return any(entry.get(key) for entry in group for key in ('Reported by authors', 'Results'))


def split_name(entry: Entry) -> tuple[str, str, str]:
    """What stands before the size in a config's name, the size, and what stands after; all before if it has none."""
    size = entry['Metadata']['Arch']
    before, found, after = entry['Name'].partition(f'_{size}_') if size else (entry['Name'], '', '')
    return (before, size, after) if found else (entry['Name'], '', '')


def schedules(key: Key, groups: Mapping[Key, list[Entry]]) -> list[Key]:
    """The groups of the same models whose names go on with a schedule."""
    before, after = key
    longer = (known for known in groups if known[0] == before and known[1].startswith(f'{after}_'))
    return [known for known in longer if costs(groups[known]) == costs(groups[key])]


def costs(group: Iterable[Entry]) -> list[tuple]:
    """Sizes and figures of a group."""
    return [(split_name(e)[1], e['Metadata']['Parameters'], e['Metadata'].get('Multiply-adds')) for e in group]


def short_row(key: Key, groups: Mapping[Key, list[Entry]], longer: list[Key]) -> tuple[str, ...]:
    """One line of the short table."""
    (before, after), group = key, groups[key]
    sizes = [split_name(entry)[1] for entry in group]
    middle = f'_{{{",".join(sizes)}}}_' if len(sizes) > 1 else f'_{sizes[0]}_' if sizes[0] else ''
    endings = {known: known[1][len(after) :] for known in longer}
    images = {tuple(entry['Metadata'].get('Image', ())) for entry in group}
    image = f' at {" x ".join(map(str, images.pop()))}' if len(images) == 1 and images != {()} else ''
    everyone = [('', entry) for entry in group]
    everyone += [(endings[known].strip('_'), entry) for known in longer for entry in groups[known]]
    return (
        f'`{before}{middle}{after}{"".join(f"[{ending}]" for ending in endings.values())}`',
        ' / '.join(f'{entry["Metadata"]["Parameters"] / 1e6:.1f}' for entry in group),
        ' / '.join(operations(entry) for entry in group) + image,
        said(everyone, 'Reported by authors'),
        said(everyone, 'Results') or 'no',
    )


def said(entries: Iterable[tuple[str, Entry]], key: str) -> str:
    """The figures under a key, each with the size and the schedule it belongs to."""
    found = (((split_name(entry)[1], schedule), metrics(entry, key)) for schedule, entry in entries)
    titled = ((' '.join(filter(None, title)), figures) for title, figures in found if figures)
    return '; '.join(f'{title}: {figures}' if title else figures for title, figures in titled)

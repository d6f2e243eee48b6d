"""The table of arrows between the rooms, from the test that enforces them: it cannot say anything else."""

import ast
from pathlib import Path

TEST = Path(__file__).parents[2] / 'tests' / 'test_imports.py'


def constants() -> dict[str, ast.expr]:
    """The constants of the test, read without running it."""
    return {
        ast.unparse(statement.targets[0]): statement.value
        for statement in ast.parse(TEST.read_text(encoding='utf-8')).body
        if isinstance(statement, ast.Assign)
    }


def names(value: ast.expr) -> list[str]:
    """The members of a set; `set()` is the one that is no literal."""
    return sorted(ast.literal_eval(value)) if isinstance(value, ast.Set) else []


def markdown() -> str:
    """A row for each room of MAY, and a line for what all may import, ANYWHERE."""
    found = constants()
    lines = ['| room | may import |', '| --- | --- |']
    for room, rooms in zip(found['MAY'].keys, found['MAY'].values):
        name = ast.literal_eval(room)
        name = 'mmseq' if name == '__init__' else f'mmseq.{name}'
        lines.append(f'| `{name}` | {coded(names(rooms))} |')
    return '\n'.join([*lines, '', f'All of them may import {coded(names(found["ANYWHERE"]))}.'])


def coded(rooms: list[str]) -> str:
    """Names as a list in a sentence."""
    return ', '.join(f'`{room}`' for room in rooms)

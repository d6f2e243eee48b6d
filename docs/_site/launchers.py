"""The shell scripts that start several processes, by the comments at their heads, which are also their --help."""

from pathlib import Path

TOOLS = Path(__file__).parents[2] / 'tools'


def markdown() -> str:
    """A part for each script that is called by people: dist_*.sh and slurm_*.sh."""
    parts = []
    for script in sorted(TOOLS.glob('*_*.sh')):
        lines = script.read_text(encoding='utf-8').splitlines()[1:]
        head = [line.removeprefix('# ') for line in lines[: next(n for n, line in enumerate(lines) if line[:1] != '#')]]
        parts.append(f'### {script.name}\n\n{head[0]}\n\n```text\n' + '\n'.join(head[1:]) + '\n```\n')
    return '\n'.join(parts)

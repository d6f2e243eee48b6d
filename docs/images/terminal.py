"""Runs commands in a terminal and draws what they print as an SVG, line after line as it came.

    python docs/images/terminal.py docs/images/terminal.svg 'mmseq check-data --data card.yaml' 'mmseq train ...'

The waiting between lines is cut to half a second. The picture has no script and loads nothing; whoever has asked their
system for less motion, or looks at it later, sees the last state.
"""

import argparse
import contextlib
import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

COLUMNS, ROWS = 104, 40
# Seconds between two lines at most, and after a command that is typed.
PAUSE, TYPED = 0.5, 0.9
# The frame of a line: rich names its clip after it.
SVG = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font: {char_height}px "DejaVu Sans Mono", Menlo, Consolas, monospace; }}
{styles}
@media (prefers-reduced-motion: no-preference) {{
.{unique_id}-matrix text {{ animation: shown 1ms both; }}
@keyframes shown {{ from {{ opacity: 0; }} }}
/* delays */
}}
</style>
<defs>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})">
{backgrounds}
<g class="{unique_id}-matrix">{matrix}</g>
</g>
</svg>
"""


def printed(command: str) -> Iterator[tuple[float, str]]:
    """The lines of a command with the second in which each came.

    Raises:
        SystemExit: the command failed.
    """
    reader, writer = pty.openpty()
    fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack('HHHH', ROWS, COLUMNS, 0, 0))
    # A terminal that cannot go back in its line gets lines.
    environment = os.environ | {'TERM': 'dumb', 'COLUMNS': str(COLUMNS)}
    process = subprocess.Popen(['bash', '-c', command], stdout=writer, stderr=writer, env=environment)
    os.close(writer)
    # An OSError is how Linux says that nobody has the other end any more.
    with os.fdopen(reader, encoding='utf-8', errors='replace', newline='\n') as stream, contextlib.suppress(OSError):
        # Of a line that is drawn over itself, the last state.
        yield from ((time.monotonic(), line.rstrip('\r\n').rpartition('\r')[2]) for line in stream)
    if process.wait():
        raise SystemExit(f'{command}: exit status {process.returncode}')


def recorded(commands: list[str]) -> Iterator[tuple[float, Text]]:
    """Every line with its time in the picture."""
    now = 0.0
    for number, command in enumerate(commands):
        if number:
            yield now, Text('')
        yield now, Text.assemble(('$ ', 'bold green'), (command, 'bold'))
        now, before = now + TYPED, None
        for second, line in printed(command):
            now += min(PAUSE, second - before) if before else 0
            before = second
            yield now, Text(line)


def drawn(lines: list[tuple[float, Text]]) -> str:
    """The picture of the lines."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), legacy_windows=False)
    delays: list[float] = []
    for second, line in lines:
        rows = line.wrap(console, COLUMNS)
        delays += [second] * len(rows)
        for row in rows:
            console.print(row, highlight=False)
    svg = console.export_svg(title='', theme=MONOKAI, code_format=SVG, unique_id='t')
    rules = [f'[clip-path="url(#t-line-{n})"] {{ animation-delay: {delay:.1f}s; }}' for n, delay in enumerate(delays)]
    svg = svg.replace('/* delays */', '\n'.join(rules))
    return re.sub(r'[ \t]*\n\s*', '\n', svg)


def main() -> None:
    """Record and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('svg', type=Path)
    parser.add_argument('commands', nargs='+', metavar='COMMAND')
    args = parser.parse_args()
    args.svg.write_text(drawn(list(recorded(args.commands))), encoding='utf-8')


if __name__ == '__main__':
    main()

"""Many pictures of predictions on one sheet."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from mmseq.datasets.formats import open_image
from mmseq.errors import InputError
from mmseq.files import write_png
from mmseq.pictures.lettering import font_of, one_line, tell_missing

_SUFFIXES = frozenset({'.png', '.jpg', '.jpeg'})
_GAP, _CAPTION = 8, 16


def contact_sheet(folder: str | Path, out: str | Path, n: int = 24, columns: int = 4, width: int = 480) -> Path:
    """Put the pictures that mmdet's and mmseg's visualisation hooks wrote onto one sheet, each with its file name.

    Args:
        folder: where to look for .png and .jpg files, in folders below as well.
        out: the sheet to write; it is left out of its own contents.
        n: how many pictures to show; of more, every k-th is taken, so that the choice spans all of them.
        columns: pictures in a row.
        width: width of each picture in pixels.

    Returns:
        The path of the sheet.

    Raises:
        InputError: no picture was found, or n, columns or width is not positive.
    """
    if min(n, columns, width) < 1:
        raise InputError(f'contact sheet: n={n}, columns={columns}, width={width} must all be at least 1')
    folder, out = Path(folder), Path(out)
    paths = [path for path in sorted(folder.rglob('*')) if path.suffix.lower() in _SUFFIXES]
    # What is hidden is none of the hooks' pictures, or half of one.
    paths = [path for path in paths if path.resolve() != out.resolve() and not path.name.startswith('.')]
    if not paths:
        raise InputError(f'{folder}: no .png or .jpg pictures here; run the test with its visualisation switched on')
    n = min(n, len(paths))
    chosen = [paths[i * len(paths) // n] for i in range(n)]

    tiles = [_tile(path, width) for path in chosen]
    columns = min(columns, n)
    rows = [tiles[i : i + columns] for i in range(0, n, columns)]
    heights = [max(tile.height for tile in row) for row in rows]
    size = (columns * (width + _GAP) + _GAP, sum(heights) + (len(rows) + 1) * _GAP)
    sheet = Image.new('RGB', size, 'white')
    top = _GAP
    for row, height in zip(rows, heights):
        for column, tile in enumerate(row):
            sheet.paste(tile, (_GAP + column * (width + _GAP), top))
        top += height + _GAP
    return write_png(out, np.asarray(sheet))


def _tile(path: Path, width: int) -> Image.Image:
    """The picture at the given width above its name."""
    with open_image(path) as picture:
        height = max(1, round(picture.height * width / picture.width))
        scaled = picture.convert('RGB').resize((width, height), Image.Resampling.LANCZOS)
    tile = Image.new('RGB', (width, height + _CAPTION), 'white')
    tile.paste(scaled, (0, 0))
    name = one_line(path.name)
    tell_missing([name])
    font = font_of(10, name)
    draw = ImageDraw.Draw(tile)
    # the end of a long name tells the pictures apart
    while len(name) > 4 and draw.textlength(name, font=font) > width:
        name = '...' + name[4:]
    draw.text((0, height + 2), name, fill='#303030', font=font)
    return tile

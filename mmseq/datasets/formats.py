"""The formats of pictures and label maps that Pillow may open."""

from pathlib import Path
from typing import BinaryIO

from PIL import Image

# Told by content, whatever a file is called. Pillow knows forty more, among them PostScript, which it hands to
# Ghostscript to run.
FORMATS = ('PNG', 'JPEG', 'BMP', 'GIF', 'TIFF', 'WEBP', 'PPM', 'JPEG2000')


def open_image(source: str | Path | BinaryIO) -> Image.Image:
    """Open an image file of one of ``FORMATS``.

    Raises:
        PIL.UnidentifiedImageError: it is of none of them.
        OSError: it cannot be read.
    """
    return Image.open(source, formats=FORMATS)

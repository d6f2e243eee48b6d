"""Names of the user's own in pictures: classes, runs and files may hold anything, in any script."""

import logging
import unicodedata
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache

from mmengine.logging import print_log
from PIL import ImageFont

# What a font has to have beside the characters of a name: scores stand behind it.
_LATIN = '0123456789.abcdefghijklmnopqrstuvwxyz'
# Unicode's categories of controls, formats and spaces.
_UNSEEN = frozenset(('Cc', 'Cf', 'Zs', 'Zl', 'Zp'))
# Characters that the user knows of by now.
_told: set[str] = set()


def one_line(text: str) -> str:
    """The text with a space for each line break: Pillow raises where a name in one line is placed."""
    return ' '.join(text.splitlines())


def plain(text: str) -> str:
    """The text in one line for matplotlib, which would read what stands between two dollars as a formula."""
    return one_line(text).replace('$', r'\$')


def font_of(size: int, text: str = '') -> ImageFont.FreeTypeFont:
    """The font that comes with Pillow, so that pictures look alike everywhere; for scripts that it lacks, another one.

    Args:
        size: in pixels.
        text: to be written.
    """
    return _load(size, file_with(_strange(text)))


def tell_missing(texts: Iterable[str]) -> None:
    """Log the characters that no font found here has, each one once."""
    missing = {character for text in texts for character in _lacking(_strange(text))} - _told
    if missing:
        _told.update(missing)
        print_log(
            f'pictures: {len(missing)} characters of names are drawn as boxes, since no font found here has them: '
            f'{"".join(sorted(missing))}; install one that does, such as Noto Sans CJK',
            'current',
            logging.WARNING,
        )


@contextmanager
def matplotlib_fonts(texts: Iterable[str]) -> Iterator[None]:
    """Let matplotlib take other fonts for what its own lacks of these texts, while a figure is made and written."""
    import matplotlib
    from matplotlib.font_manager import FontProperties

    texts = list(texts)
    tell_missing(texts)
    files = sorted({file for text in texts if (file := file_with(_strange(text)))})
    families = [FontProperties(fname=file).get_name() for file in files]
    with (
        matplotlib.rc_context({'font.family': [*matplotlib.rcParams['font.family'], *families]}),
        warnings.catch_warnings(),
    ):
        # one for each character and size, of what was told above
        warnings.filterwarnings('ignore', message='Glyph .* missing from')
        yield


@lru_cache(maxsize=512)
def file_with(characters: frozenset[str]) -> str | None:
    """The file of the font that has most of the characters; None for Pillow's own.

    Args:
        characters: beside ASCII's.
    """
    if all(_is_drawn(character) for character in characters):
        return None
    from matplotlib.font_manager import fontManager

    # matplotlib's last resort has boxes for all characters
    fonts = [font for font in fontManager.ttflist if not font.name.startswith('Last Resort')]
    # of several that have as many, a regular one, always the same
    fonts.sort(key=lambda font: (font.name != 'DejaVu Sans', font.style != 'normal', font.weight != 400, font.fname))
    files = list(dict.fromkeys(font.fname for font in fonts))
    best = max(files, key=lambda file: (_count(file, characters), _count(file, _LATIN)), default=None)
    return best if best and _count(best, characters) else None


@lru_cache(maxsize=512)
def _lacking(characters: frozenset[str]) -> frozenset[str]:
    file = file_with(characters)
    return frozenset(c for c in characters if not (_count(file, c) if file else _is_drawn(c)))


def _strange(text: str) -> frozenset[str]:
    """The characters of a text that not every font has, and that are to be seen."""
    return frozenset(c for c in text if not c.isascii() and unicodedata.category(c) not in _UNSEEN)


def _count(file: str, characters: Iterable[str]) -> int:
    """How many of the characters a font's file has; none if it cannot be scaled or read."""
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(file)
    except (OSError, RuntimeError):
        # gone since matplotlib listed it, or damaged: as good as no font
        return 0
    return sum(bool(font.get_char_index(ord(c))) for c in characters) if font.scalable else 0


@lru_cache(maxsize=1024)
def _is_drawn(character: str) -> bool:
    """Whether Pillow's own font has a character; it draws the same box for all that it lacks."""
    own = _load(16, None)
    return bytes(own.getmask(character)) != bytes(own.getmask('\uffff'))


@lru_cache(maxsize=32)
def _load(size: int, file: str | None) -> ImageFont.FreeTypeFont:
    font = ImageFont.truetype(file, size) if file else ImageFont.load_default(size)
    # Its bitmap font is given only where no size is asked for.
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font

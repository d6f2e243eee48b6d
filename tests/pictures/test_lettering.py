"""Names of the user's own in pictures: other scripts, line breaks, dollars."""

import logging
import warnings
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mmseq.files import write_figure
from mmseq.pictures import lettering
from mmseq.pictures.drawing import draw
from mmseq.pictures.lettering import file_with, font_of, matplotlib_fonts, one_line, plain, tell_missing
from mmseq.pictures.prediction import Prediction

# Of the font that matplotlib comes with; Pillow's own lacks them.
CYRILLIC = '\u0434\u043e\u043c'
# Of no font: two characters for private use.
NOWHERE = '\U000f1234\U000f1235'


@pytest.fixture(autouse=True)
def nothing_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lettering, '_told', set())


def test_a_script_that_pillow_lacks_is_drawn_in_a_font_that_has_it() -> None:
    font = font_of(20, f'{CYRILLIC} 0.93')
    drawn = {bytes(font.getmask(character)) for character in (*CYRILLIC, '0', '9', '\uffff')}
    assert len(drawn) == 6
    assert font_of(20, 'house 0.93') is font_of(20)


def test_overlays_take_that_font() -> None:
    labels = np.zeros((200, 300), np.uint8)
    prediction = Prediction(np.full((200, 300, 3), 100, np.uint8), labels=labels)
    # boxes of one size would be alike
    one, other = (
        draw(prediction, (name,), np.array([[9, 9, 9]], np.uint8)) for name in ('\u0434\u0434', '\u043e\u043e')
    )
    assert not np.array_equal(one, other)


def test_what_no_font_has_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, int]] = []
    monkeypatch.setattr(lettering, 'print_log', lambda text, logger, level: told.append((text, level)))
    for _ in range(2):
        tell_missing([f'a {NOWHERE}', NOWHERE, CYRILLIC, 'caf\u00e9'])
    ((text, level),) = told
    assert level == logging.WARNING
    assert text.startswith(
        f'pictures: 2 characters of names are drawn as boxes, since no font found here has them: {NOWHERE};'
    )


def test_matplotlib_warns_of_no_glyphs(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        with matplotlib_fonts([CYRILLIC, NOWHERE]):
            figure = Figure()
            FigureCanvasAgg(figure)
            figure.suptitle(f'{CYRILLIC} {NOWHERE}')
            assert write_figure(tmp_path / 'a.png', figure).exists()


def test_a_text_of_ascii_needs_no_other_font() -> None:
    assert file_with(frozenset()) is None


def test_one_line_without_formulas() -> None:
    assert one_line('a\nb\r\nc') == 'a b c'
    assert plain('$..%$\nb') == r'\$..%\$ b'

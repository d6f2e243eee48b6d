"""Where pixels and points of an image lie."""

import numpy as np
import pytest

from mmseq.evaluation.places import BANDS, GRID, PLACES, band_names, count_pixels, count_points, pixel_places, shares


def test_every_pixel_by_its_distance_from_the_nearest_side() -> None:
    height, width = 70, 37
    band, cell = pixel_places(height, width)
    for row, column in ((0, 0), (3, 20), (4, 20), (20, 7), (20, 8), (35, 18), (69, 36), (50, 33)):
        distance = min(row, column, height - 1 - row, width - 1 - column)
        assert BANDS[band[row, column]] <= distance
        assert band[row, column] + 1 == len(BANDS) or distance < BANDS[band[row, column] + 1]
        assert cell[row, column] == int((row + 0.5) * GRID / height) * GRID + int((column + 0.5) * GRID / width)
    assert band_names()[0] == '0-4'
    assert band_names()[-1] == '128+'


def test_pixels_are_counted_once_in_a_band_and_once_in_a_cell() -> None:
    chosen = np.random.default_rng(0).random((33, 50)) < 0.5
    counts = count_pixels(chosen)
    assert counts.shape == (PLACES,)
    assert counts[: len(BANDS)].sum() == counts[len(BANDS) :].sum() == chosen.sum()


def test_points_of_images_of_their_own_sizes() -> None:
    counts = count_points(np.array([2.0, 50.0, 120.0]), np.array([50.0, 50.0, 5.0]), np.array([100, 100, 99]), 100)
    # the last one lies below its image
    assert counts[: len(BANDS)].tolist() == [2, 0, 0, 0, 1, 0, 0]
    assert counts[len(BANDS) + 4] == 1
    assert counts[len(BANDS) + 4 * GRID + 4] == 1


def test_shares_of_nothing_do_not_exist() -> None:
    some, total = np.zeros(PLACES), np.zeros(PLACES)
    some[0], total[0], total[-1] = 1, 4, 2
    found = shares(some, total)
    assert found['bands'][:2] == [0.25, None]
    assert found['grid'][-1] == pytest.approx(0)

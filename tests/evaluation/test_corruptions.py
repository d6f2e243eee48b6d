"""Corruptions against their published definitions, written out with scipy and plain loops."""

import io
import math

import cv2
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from mmseq.evaluation import corruptions
from mmseq.evaluation.corruptions import CORRUPTIONS, SEVERITIES, corrupt, random_numbers

HEIGHT, WIDTH = 48, 60


@pytest.fixture(scope='module')
def image() -> np.ndarray:
    """Something with edges and a little noise, not square, in bytes."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    channels = (128 + 90 * np.sin(rows / 7), 30 + 3 * columns, np.where((rows // 7 + columns // 7) % 2, 220, 15))
    noise = random_numbers('noise').integers(0, 20, (HEIGHT, WIDTH, 3))
    return (np.stack(channels, 2) + noise).astype(np.uint8)


def drawn(name: str, severity: int) -> np.random.Generator:
    """The random numbers that a corruption of an image ``a`` gets."""
    return random_numbers(f'0/a/{name}/{severity}')


def as_bytes(image: np.ndarray) -> np.ndarray:
    return np.uint8(np.clip(image, 0, 1) * 255)


def close(found: np.ndarray, expected: np.ndarray, share: float = 0.06) -> None:
    """Equal but for rounding to a whole number in few places."""
    apart = np.abs(found.astype(int) - expected)
    assert apart.max() <= 1
    assert (apart > 0).mean() < share


def test_there_are_fifteen_and_each_changes_more_with_its_severity(image: np.ndarray) -> None:
    assert len(CORRUPTIONS) == 15
    for name in CORRUPTIONS:
        found = [corrupt(image, name, severity, 'a') for severity in SEVERITIES]
        assert all(one.shape == image.shape and one.dtype == np.uint8 for one in found)
        apart = [np.abs(one.astype(int) - image).mean() for one in found]
        assert 0 < apart[0] < apart[-1], name


def test_the_same_for_the_same_image_and_seed_alone(image: np.ndarray) -> None:
    before = image.copy()
    first = corrupt(image, 'fog', 3, 'a', 1)
    np.random.seed(5)
    assert (corrupt(image, 'fog', 3, 'a', 1) == first).all()
    assert (corrupt(image, 'fog', 3, 'b', 1) != first).any()
    assert (corrupt(image, 'fog', 3, 'a', 2) != first).any()
    assert (image == before).all()


def test_what_cannot_be_corrupted(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match='severity 6'):
        corrupt(image, 'fog', 6)
    with pytest.raises(ValueError, match='float32'):
        corrupt(image.astype(np.float32), 'fog', 1)


@pytest.mark.parametrize('severity', SEVERITIES)
def test_noise(image: np.ndarray, severity: int) -> None:
    x = image / 255
    scale = [0.08, 0.12, 0.18, 0.26, 0.38][severity - 1]
    noise = drawn('gaussian_noise', severity).normal(0, scale, x.shape)
    close(corrupt(image, 'gaussian_noise', severity, 'a'), as_bytes(x + noise))
    quanta = [60, 25, 12, 5, 3][severity - 1]
    close(
        corrupt(image, 'shot_noise', severity, 'a'),
        as_bytes(drawn('shot_noise', severity).poisson(x * quanta) / quanta),
    )
    found = corrupt(image, 'impulse_noise', severity, 'a')
    changed = found != image
    assert set(found[changed].tolist()) <= {0, 255}
    assert changed.mean() == pytest.approx([0.03, 0.06, 0.09, 0.17, 0.27][severity - 1], rel=0.2)
    assert (found[changed] == 255).mean() == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize('severity', SEVERITIES)
def test_defocus_is_a_convolution_with_a_disk(image: np.ndarray, severity: int) -> None:
    radius, sigma = [(3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)][severity - 1]
    reach, size = (8, (3, 3)) if radius <= 8 else (radius, (5, 5))
    kernel = np.array([[float(y * y + x * x <= radius**2) for x in range(-reach, reach + 1)] for y in
                       range(-reach, reach + 1)], dtype=np.float32)  # fmt: skip
    kernel = cv2.GaussianBlur(kernel / kernel.sum(), size, sigma)
    expected = np.stack([ndimage.correlate(image[:, :, c] / 255, kernel, mode='mirror') for c in range(3)], 2)
    close(corrupt(image, 'defocus_blur', severity, 'a'), as_bytes(expected))


def blurred(image: np.ndarray, sigma: float) -> np.ndarray:
    return ndimage.gaussian_filter(image, (sigma, sigma, 0), mode='nearest', truncate=4)


@pytest.mark.parametrize('severity', SEVERITIES)
def test_glass_takes_pixels_from_their_neighbourhood(image: np.ndarray, severity: int) -> None:
    sigma, reach, rounds = [(0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)][severity - 1]
    x = np.uint8(blurred(image / 255, sigma) * 255)
    random = drawn('glass_blur', severity)
    for _ in range(rounds):
        steps = iter(random.integers(-reach, reach, ((HEIGHT - 2 * reach) * (WIDTH - 2 * reach), 2)))
        for h in range(HEIGHT - reach, reach, -1):
            for w in range(WIDTH - reach, reach, -1):
                dx, dy = next(steps)
                x[h, w] = x[h + dy, w + dx]
    close(corrupt(image, 'glass_blur', severity, 'a'), as_bytes(blurred(x / 255, sigma)))


def smeared(image: np.ndarray, radius: int, sigma: float, angle: float) -> np.ndarray:
    """One copy after the other, pixel by pixel."""
    weights = [math.exp(-(i**2) / (2 * sigma**2)) for i in range(2 * radius + 1)]
    total = np.zeros(image.shape)
    for i, weight in enumerate(weights):
        dy = -math.ceil(i * math.sin(math.radians(angle)) - 0.5)
        dx = -math.ceil(i * math.cos(math.radians(angle)) - 0.5)
        rows = [min(max(y - dy, 0), image.shape[0] - 1) for y in range(image.shape[0])]
        columns = [min(max(x - dx, 0), image.shape[1] - 1) for x in range(image.shape[1])]
        total += weight * image[np.ix_(rows, columns)]
    return total / sum(weights)


@pytest.mark.parametrize('severity', SEVERITIES)
def test_motion_blur(image: np.ndarray, severity: int) -> None:
    radius, sigma = [(10, 3), (15, 5), (15, 8), (15, 12), (20, 15)][severity - 1]
    angle = drawn('motion_blur', severity).uniform(-45, 45)
    close(corrupt(image, 'motion_blur', severity, 'a'), as_bytes(smeared(image / 255, radius, sigma, angle)))


def zoomed(image: np.ndarray, factor: float) -> np.ndarray:
    parts = [math.ceil(size / factor) for size in image.shape[:2]]
    top, left = ((size - part) // 2 for size, part in zip(image.shape, parts))
    return ndimage.zoom(image[top : top + parts[0], left : left + parts[1]], (factor, factor, 1), order=1)


@pytest.mark.parametrize('severity', SEVERITIES)
def test_zoom_blur_is_the_mean_over_enlargements(image: np.ndarray, severity: int) -> None:
    factors = np.arange(1, *[(1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)][severity - 1])
    total = image / 255
    for factor in factors:
        larger = zoomed(image / 255, factor)[:HEIGHT, :WIDTH]
        total[: larger.shape[0], : larger.shape[1]] += larger
    close(corrupt(image, 'zoom_blur', severity, 'a'), as_bytes(total / (len(factors) + 1)))


@pytest.mark.parametrize('severity', SEVERITIES)
def test_snow(image: np.ndarray, severity: int) -> None:
    mean, spread, zoom, least, radius, sigma, kept = [
        (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
        (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
        (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
        (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
        (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
    ][severity - 1]
    random = drawn('snow', severity)
    flakes = zoomed(random.normal(mean, spread, (HEIGHT, WIDTH, 1)), zoom)[:, :, 0]
    flakes = np.clip(np.where(flakes < least, 0, flakes), 0, 1)
    flakes = smeared(flakes, radius, sigma, random.uniform(-135, -45))
    flakes = np.uint8(np.round(flakes * 255))[:HEIGHT, :WIDTH, None] / 255
    x = image.astype(np.float32) / 255
    grey = cv2.cvtColor(x, cv2.COLOR_RGB2GRAY)[:, :, None]
    expected = kept * x + (1 - kept) * np.maximum(x, grey * 1.5 + 0.5)
    expected[: flakes.shape[0], : flakes.shape[1]] += flakes + np.rot90(flakes, 2)
    close(corrupt(image, 'snow', severity, 'a'), as_bytes(expected))


def test_plasma_is_rough_and_goes_on_at_the_other_side() -> None:
    found = corruptions.plasma(64, 2, random_numbers('x'))
    assert (found.min(), found.max()) == (0, 1)
    steps = np.abs(np.diff(found, axis=0)).mean()
    assert np.abs(found[0] - found[-1]).mean() == pytest.approx(steps, rel=0.6)
    # a map that falls faster from step to step is smoother
    smooth = corruptions.plasma(64, 4, random_numbers('x'))
    assert np.abs(np.diff(smooth, axis=0)).mean() < steps


@pytest.mark.parametrize('severity', SEVERITIES)
def test_fog_keeps_the_highest_value(image: np.ndarray, severity: int) -> None:
    amount, decay = [(1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)][severity - 1]
    x = image / 255
    haze = amount * corruptions.plasma(64, decay, drawn('fog', severity))[:HEIGHT, :WIDTH, None]
    close(corrupt(image, 'fog', severity, 'a'), as_bytes((x + haze) * x.max() / (x.max() + amount)))


@pytest.mark.parametrize('severity', SEVERITIES)
def test_brightness_and_contrast(image: np.ndarray, severity: int) -> None:
    hsv = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2HSV)
    hsv[:, :, 2] = np.clip(hsv[:, :, 2] + [0.1, 0.2, 0.3, 0.4, 0.5][severity - 1], 0, 1)
    # the highest channel falls on a whole number, so that rounding decides
    close(corrupt(image, 'brightness', severity), as_bytes(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)), share=0.4)
    x = image / 255
    means = x.mean((0, 1), keepdims=True)
    expected = (x - means) * [0.4, 0.3, 0.2, 0.1, 0.05][severity - 1] + means
    close(corrupt(image, 'contrast', severity), as_bytes(expected))
    black = np.zeros((32, 32, 3), np.uint8)
    assert corrupt(black, 'brightness', severity).mean() == pytest.approx(25.5 * severity, abs=1)


@pytest.mark.parametrize('severity', SEVERITIES)
def test_elastic(image: np.ndarray, severity: int) -> None:
    alpha = [250 * 0.05, 250 * 0.065, 250 * 0.085, 250 * 0.1, 250 * 0.12][severity - 1]
    random = drawn('elastic_transform', severity)
    sigmas, reach = (HEIGHT * 0.01, WIDTH * 0.01), HEIGHT * 0.005
    dx, dy = (
        alpha * ndimage.gaussian_filter(random.uniform(-reach, reach, (HEIGHT, WIDTH)), sigmas, mode='reflect',
                                        truncate=3) for _ in range(2)
    )  # fmt: skip
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    channels = [
        ndimage.map_coordinates(image[:, :, c] / 255, (rows + dy, columns + dx), order=1, mode='reflect')
        for c in range(3)
    ]
    close(corrupt(image, 'elastic_transform', severity, 'a'), as_bytes(np.stack(channels, 2)))


@pytest.mark.parametrize('severity', SEVERITIES)
def test_pixelate_and_jpeg(image: np.ndarray, severity: int) -> None:
    share = [0.6, 0.5, 0.4, 0.3, 0.25][severity - 1]
    small = Image.fromarray(image).resize((int(WIDTH * share), int(HEIGHT * share)), Image.BOX)
    expected = np.asarray(small.resize((WIDTH, HEIGHT), Image.NEAREST))
    assert (corrupt(image, 'pixelate', severity) == expected).all()
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, 'JPEG', quality=[25, 18, 15, 10, 7][severity - 1])
    assert (corrupt(image, 'jpeg_compression', severity) == np.asarray(Image.open(buffer))).all()


@pytest.mark.parametrize('severity', SEVERITIES)
def test_frost_is_a_texture_over_the_image(image: np.ndarray, severity: int) -> None:
    kept, added = [(1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75)][severity - 1]
    texture = corruptions.frost_texture(HEIGHT, WIDTH, drawn('frost_generated', severity))
    close(corrupt(image, 'frost_generated', severity, 'a'), as_bytes((kept * image + added * texture) / 255))
    # as the photographs of the published frost: 134, 155 and 167
    large = corruptions.frost_texture(200, 300, random_numbers('x'))
    assert large.mean((0, 1)) == pytest.approx([134, 155, 167], rel=0.15)

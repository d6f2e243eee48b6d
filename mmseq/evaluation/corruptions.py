"""The 15 corruptions of ImageNet-C and COCO-C in five severities, made of numpy, OpenCV and Pillow.

Parameters are those of Hendrycks and Dietterich (arXiv 1903.12261) in the version for images of any size that Michaelis
et al. (arXiv 1907.07484) published as ``imagecorruptions``, whose results these functions repeat for equal random
numbers. One differs: frost is laid over the image from photographs that come without a licence, so a texture is
generated here, and the corruption is called ``frost_generated``.

Images are (H, W, 3), red first. The functions take values from 0 to 255 and return them as floats of any range.
"""

import hashlib
import io
import math
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from PIL import Image

SEVERITIES = (1, 2, 3, 4, 5)
# What turns an image into a corrupted one: image, severity counted from 0, random numbers.
Corruption = Callable[[np.ndarray, int, Any], np.ndarray]


def corrupt(image: np.ndarray, name: str, severity: int, key: str = '', seed: int = 0) -> np.ndarray:
    """A corrupted copy of an image, the same for the same arguments.

    Args:
        image: (H, W, 3) bytes, red first.
        name: one of ``CORRUPTIONS``.
        severity: 1 to 5.
        key: what tells the image from others, as its name.
        seed: of all images.

    Returns:
        (H, W, 3) bytes.

    Raises:
        KeyError: there is no such corruption.
        ValueError: there is no such severity, or the image is not of bytes in three channels.
    """
    if severity not in SEVERITIES:
        raise ValueError(f'severity {severity}: expected one of {SEVERITIES}')
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f'an image of {image.dtype} of shape {image.shape}: expected (H, W, 3) bytes')
    random = random_numbers(f'{seed}/{key}/{name}/{severity}')
    corrupted = CORRUPTIONS[name](image.astype(np.float64), severity - 1, random)
    return np.clip(corrupted, 0, 255).astype(np.uint8)


def random_numbers(text: str) -> np.random.Generator:
    """Random numbers that a text stands for, in every process and on every machine."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], 'big'))


# Noise.


def gaussian_noise(image: np.ndarray, level: int, random: Any) -> np.ndarray:
    """Noise of a sensor in low light."""
    scale = (0.08, 0.12, 0.18, 0.26, 0.38)[level]
    return image + 255 * random.normal(0, scale, image.shape)


def shot_noise(image: np.ndarray, level: int, random: Any) -> np.ndarray:
    """Poisson noise: light comes in quanta."""
    quanta = (60, 25, 12, 5, 3)[level]
    return 255 * random.poisson(image / 255 * quanta) / quanta


def impulse_noise(image: np.ndarray, level: int, random: Any) -> np.ndarray:
    """Salt and pepper in single channels."""
    share = (0.03, 0.06, 0.09, 0.17, 0.27)[level]
    hit = random.random(image.shape) <= share
    salt = random.random(image.shape) <= 0.5
    return np.where(hit, np.where(salt, 255.0, 0.0), image)


# Blur.


def defocus_blur(image: np.ndarray, level: int, random: Any) -> np.ndarray:
    """A lens out of focus: a disk as kernel."""
    radius, sigma = ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5))[level]
    reach, size = (8, 3) if radius <= 8 else (radius, 5)
    places = np.arange(-reach, reach + 1)
    disk = (places[:, None] ** 2 + places**2 <= radius**2).astype(np.float32)
    kernel = cv2.GaussianBlur(disk / disk.sum(), (size, size), sigma)
    return np.asarray(cv2.filter2D(image, -1, kernel))


def glass_blur(image: np.ndarray, level: int, random: Any) -> np.ndarray:
    """Frosted glass: pixels are taken from their neighbourhood, between two Gaussian blurs.

    One after the other, each pixel gets the colour that a random neighbour has by then. The papers speak of an
    exchange; their code does this, and the published figures rest on it.
    """
    sigma, reach, rounds = ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2))[level]
    height, width = image.shape[:2]
    blurred = np.floor(gaussian(image, sigma)).reshape(-1, 3)
    rows, columns = np.arange(height - reach, reach, -1), np.arange(width - reach, reach, -1)
    places = (rows[:, None] * width + columns).ravel()
    sources = list(range(height * width))
    for _ in range(rounds):
        steps = random.integers(-reach, reach, (len(places), 2))
        others = places + steps[:, 1] * width + steps[:, 0]
        # each step reads what the ones before it wrote
        for place, other in zip(places.tolist(), others.tolist()):
            sources[place] = sources[other]
    return gaussian(blurred[sources].reshape(image.shape), sigma)


def motion_blur(image: np.ndarray, level: int, random: Any) -> np.ndarray:
    """A camera that moves along a line of random direction."""
    radius, sigma = ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15))[level]
    return smear(image, radius, sigma, random.uniform(-45, 45))


def zoom_blur(image: np.ndarray, level: int, random: Any) -> np.ndarray:
    """A camera that moves towards the scene: the mean of the image and its enlargements."""
    last, step = ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03))[level]
    factors = np.arange(1, last, step)
    total = image.copy()
    for factor in factors:
        larger = enlarge_middle(image, factor)[: image.shape[0], : image.shape[1]]
        # by rounding it may be a pixel smaller than the image
        total[: larger.shape[0], : larger.shape[1]] += larger
    return total / (len(factors) + 1)


# Weather.


def snow(image: np.ndarray, level: int, random: Any) -> np.ndarray:
    """Flakes that fall, over a whitened image."""
    mean, spread, zoom, least, radius, sigma, kept = (
        (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
        (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
        (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
        (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
        (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
    )[level]
    height, width = image.shape[:2]
    flakes = enlarge_middle(random.normal(mean, spread, (height, width, 1)), zoom)[:, :, 0]
    flakes = np.clip(np.where(flakes < least, 0, flakes), 0, 1)
    flakes = smear(flakes, radius, sigma, random.uniform(-135, -45))
    flakes = np.floor(np.round(flakes * 255))[:height, :width, None]
    grey = image @ np.array((0.299, 0.587, 0.114))
    white = kept * image + (1 - kept) * np.maximum(image, grey[:, :, None] * 1.5 + 127.5)
    white[: flakes.shape[0], : flakes.shape[1]] += flakes + flakes[::-1, ::-1]
    return white


def frost_generated(image: np.ndarray, level: int, random: Any) -> np.ndarray:
    """Ice on the glass, with the weights of the published frost over a generated texture."""
    kept, added = ((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75))[level]
    return kept * image + added * frost_texture(image.shape[0], image.shape[1], random)


def fog(image: np.ndarray, level: int, random: Any) -> np.ndarray:
    """A fractal haze that takes the contrast."""
    amount, decay = ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4))[level]
    height, width = image.shape[:2]
    haze = 255 * amount * plasma(power_of_two(max(height, width)), decay, random)[:height, :width, None]
    highest = image.max()
    return (image + haze) * highest / (highest + 255 * amount)


def brightness(image: np.ndarray, level: int, random: Any) -> np.ndarray:
    """More of the value of HSV, hue and saturation kept."""
    value = image.max(axis=2, keepdims=True)
    lighter = np.minimum(value + 255 * (0.1, 0.2, 0.3, 0.4, 0.5)[level], 255)
    # black has no hue and becomes grey
    return np.where(value > 0, image * (lighter / np.maximum(value, 1e-9)), lighter)


# Digital.


def contrast(image: np.ndarray, level: int, random: Any) -> np.ndarray:
    """Values drawn towards the mean of their channel."""
    mean = image.mean(axis=(0, 1))
    return np.asarray((image - mean) * (0.4, 0.3, 0.2, 0.1, 0.05)[level] + mean)


def elastic_transform(image: np.ndarray, level: int, random: Any) -> np.ndarray:
    """Small regions stretched and shifted."""
    strength = 250 * (0.05, 0.065, 0.085, 0.1, 0.12)[level]
    height, width = image.shape[:2]
    reach = height * 0.005
    across, down = (
        strength * gaussian(random.uniform(-reach, reach, (height, width)), (height * 0.01, width * 0.01), 3, True)
        for _ in range(2)
    )
    return sample(image, np.arange(height)[:, None] + down, np.arange(width) + across)


def pixelate(image: np.ndarray, level: int, random: Any) -> np.ndarray:
    """Fewer pixels, enlarged again."""
    share = (0.6, 0.5, 0.4, 0.3, 0.25)[level]
    height, width = image.shape[:2]
    picture = Image.fromarray(image.astype(np.uint8))
    small = picture.resize((max(1, int(width * share)), max(1, int(height * share))), Image.Resampling.BOX)
    return np.asarray(small.resize((width, height), Image.Resampling.NEAREST), dtype=np.float64)


def jpeg_compression(image: np.ndarray, level: int, random: Any) -> np.ndarray:
    """JPEG of low quality."""
    buffer = io.BytesIO()
    Image.fromarray(image.astype(np.uint8)).save(buffer, 'JPEG', quality=(25, 18, 15, 10, 7)[level])
    return np.asarray(Image.open(buffer), dtype=np.float64)


# What they are made of.


def gaussian(image: np.ndarray, sigma: float | Sequence[float], reach: float = 4, mirror: bool = False) -> np.ndarray:
    """Gaussian blur in floats.

    Args:
        image: (H, W) or (H, W, C).
        sigma: of both axes, or of rows and columns.
        reach: of the kernel, in sigmas.
        mirror: mirror the image at its border; otherwise the outermost pixels go on.
    """
    down, across = (sigma, sigma) if isinstance(sigma, (int, float)) else sigma
    size = [2 * int(reach * one + 0.5) + 1 for one in (across, down)]
    border = cv2.BORDER_REFLECT if mirror else cv2.BORDER_REPLICATE
    return np.asarray(cv2.GaussianBlur(image, size, across, sigmaY=down, borderType=border))


def smear(image: np.ndarray, radius: int, sigma: float, angle: float) -> np.ndarray:
    """Copies of an image along a line, with the weights of half a Gaussian; (H, W) or (H, W, C).

    Args:
        image: the outermost pixels go on beyond its border.
        radius: half the number of copies.
        sigma: of the weights, in pixels.
        angle: of the line, in degrees.
    """
    count = 2 * radius + 1
    weights = np.exp(-(np.arange(count) ** 2) / (2 * sigma**2))
    weights /= weights.sum()
    down, across = math.sin(math.radians(angle)), math.cos(math.radians(angle))
    height, width = image.shape[:2]
    wide = np.pad(image, [(count, count), (count, count), *[(0, 0)] * (image.ndim - 2)], mode='edge')
    total = np.zeros_like(image, dtype=np.float64)
    for i, weight in enumerate(weights):
        dy, dx = math.ceil(i * down - 0.5), math.ceil(i * across - 0.5)
        if abs(dy) >= height or abs(dx) >= width:
            break
        total += weight * wide[count + dy : count + dy + height, count + dx : count + dx + width]
    return total


def enlarge_middle(image: np.ndarray, factor: float) -> np.ndarray:
    """The middle of an image, enlarged to about the size of the whole: linear, corner on corner."""
    for axis in (0, 1):
        whole = image.shape[axis]
        part = math.ceil(whole / factor)
        start, size = (whole - part) // 2, round(part * factor)
        places = np.linspace(start, start + part - 1, size)
        low = np.minimum(places.astype(int), start + max(part - 2, 0))
        share = (places - low).reshape([-1 if i == axis else 1 for i in range(image.ndim)])
        high = np.minimum(low + 1, start + part - 1)
        image = np.take(image, low, axis) * (1 - share) + np.take(image, high, axis) * share
    return image


def sample(image: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Values of an image at places between its pixels, linear; the image is mirrored at its border.

    Args:
        image: (H, W, C).
        rows: (H, W).
        columns: (H, W).
    """

    def mirrored(places: np.ndarray, size: int) -> np.ndarray:
        places = places % (2 * size)
        return np.minimum(places, 2 * size - 1 - places)

    top, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    down, across = (rows - top)[..., None], (columns - left)[..., None]
    height, width = image.shape[:2]
    above, below = mirrored(top, height), mirrored(top + 1, height)
    before, behind = mirrored(left, width), mirrored(left + 1, width)
    upper = image[above, before] * (1 - across) + image[above, behind] * across
    lower = image[below, before] * (1 - across) + image[below, behind] * across
    return np.asarray(upper * (1 - down) + lower * down)


def power_of_two(size: int) -> int:
    """The smallest power of two that is not below a size."""
    return 1 << (size - 1).bit_length()


def plasma(size: int, decay: float, random: Any) -> np.ndarray:
    """A fractal height map by the diamond-square algorithm, which goes on at the opposite border.

    Args:
        size: side, a power of two.
        decay: by what the heights fall from step to step.

    Returns:
        (size, size) from 0 to 1.
    """
    heights = np.zeros((size, size))
    step, scale = size, 100.0

    def rough(total: np.ndarray) -> np.ndarray:
        return total / 4 + scale * random.uniform(-scale, scale, total.shape)

    while step >= 2:
        half = step // 2
        corners = heights[::step, ::step]
        square = corners + np.roll(corners, -1, 0)
        heights[half::step, half::step] = rough(square + np.roll(square, -1, 1))
        middles = heights[half::step, half::step]
        beside = middles + np.roll(middles, 1, 0) + corners + np.roll(corners, -1, 1)
        heights[::step, half::step] = rough(beside)
        beside = middles + np.roll(middles, 1, 1) + corners + np.roll(corners, -1, 0)
        heights[half::step, ::step] = rough(beside)
        step, scale = half, scale / decay
    heights -= heights.min()
    return np.asarray(heights / heights.max())


def frost_texture(height: int, width: int, random: Any) -> np.ndarray:
    """Needles of ice in patches, bluish white; brightness and contrast of the published photographs.

    Returns:
        (height, width, 3) from 0 to 255.
    """
    patches = plasma(max(32, power_of_two(max(height, width))), 2, random)[:height, :width]
    needles = np.zeros((height, width))
    for angle in random.uniform(0, 180, 8):
        seeds = (random.random((height, width)) < 0.02) * random.uniform(0.4, 1, (height, width))
        needles = np.maximum(needles, smear(seeds, 8, 8, angle) / 0.1)
    ice = np.clip(0.53 + 0.5 * (patches - patches.mean()) + 0.35 * (np.minimum(needles, 1) - 0.65), 0, 1)
    return np.asarray(ice[:, :, None] * np.array((235.0, 272.0, 293.0)))


CORRUPTIONS: dict[str, Corruption] = {
    'gaussian_noise': gaussian_noise,
    'shot_noise': shot_noise,
    'impulse_noise': impulse_noise,
    'defocus_blur': defocus_blur,
    'glass_blur': glass_blur,
    'motion_blur': motion_blur,
    'zoom_blur': zoom_blur,
    'snow': snow,
    'frost_generated': frost_generated,
    'fog': fog,
    'brightness': brightness,
    'contrast': contrast,
    'elastic_transform': elastic_transform,
    'pixelate': pixelate,
    'jpeg_compression': jpeg_compression,
}
"""By name, in the order of the papers: noise, blur, weather, digital."""
GENERATED = 'frost_generated'
"""The one whose published definition needs files that cannot be shipped."""

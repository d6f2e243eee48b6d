"""One scene of the embedded data set: textured, rotated, overlapping shapes on a cluttered ground, as arrays.

Everything that reaches a pixel is integer arithmetic, or elementary floating point rounded to 1/64 px first, and every
random number comes from PCG64 through `Generator.random` and `Generator.integers`. So a seed gives the same scene on
every machine; no drawing library takes part.

Legend: H, W image height and width in px; points are (x, y) in px with pixel (r, c) covering [c, c+1) x [r, r+1).
"""

import colorsys
import math
from dataclasses import dataclass

import numpy as np

SHAPES_CLASSES = ('circle', 'square', 'triangle', 'star', 'cross', 'ring', 'crescent', 'bowtie')
IGNORE_LABEL = 0
BACKGROUND_LABEL = 1
FIRST_SHAPE_LABEL = 2

# A shape that would show less than this is not painted, nor may it hide an earlier one beyond it.
MIN_VISIBLE_FRACTION = 0.4
MIN_VISIBLE_PIXELS = 24
MIN_DIAMETER = 10.0

# Sub-pixel rows and columns per pixel; coverage counts 0 .. SUBPIXELS**2.
SUBPIXELS = 4
FULL = SUBPIXELS**2

# As things do, a class prefers a hue but does not keep to it: with this probability a shape has one of its class's
# share of the hues, else any colour. Without that a model has not learned the outlines alone within minutes.
TYPICAL = 0.92
HUE_SPREAD = 0.3
PLACEMENT_TRIES = 30
# Euclidean distance in RGB (0 .. 441) that both colours of a shape keep from the ground.
MIN_CONTRAST = 95
TEXTURES = ('solid', 'gradient', 'noise', 'stripes', 'checker', 'dots')
PLAIN_TEXTURES = TEXTURES[:3]
# Below this diameter a pattern would hide the outline.
PATTERN_DIAMETER = 26


@dataclass(frozen=True)
class Instance:
    """The visible part of one shape, or of one crowd of tiny shapes."""

    class_index: int
    mask: np.ndarray  # (H, W) bool
    is_crowd: bool


@dataclass(frozen=True)
class Scene:
    """A picture with its label map and its instances, which are disjoint and cover every shape pixel."""

    image: np.ndarray  # (H, W, 3) uint8, RGB
    labels: np.ndarray  # (H, W) uint8: 0 ignore, 1 background, 2 + class index
    instances: tuple[Instance, ...]


@dataclass(frozen=True)
class _Layer:
    class_index: int
    is_crowd: bool
    diameter: float
    cover: np.ndarray  # (H, W) uint8, 0 .. FULL
    mask: np.ndarray  # (H, W) bool: at least half covered
    area: int  # px of the whole shape, also beyond the border


def draw_scene(entropy: tuple[int, ...], size: tuple[int, int], with_crowd: bool) -> Scene:
    """The scene of one seed.

    `entropy` seeds PCG64, `size` bounds the two sides, drawn independently, in px, and `with_crowd` adds a tight
    cluster of tiny shapes of one class that counts as a single crowd instance.
    """
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))
    height, width = (int(rng.integers(size[0], size[1] + 1)) for _ in range(2))
    canvas, ground = _ground(rng, height, width)
    layers = _place(rng, height, width, with_crowd)
    used = ground
    for layer in layers:
        colours = _colours(rng, ground, used, class_index=layer.class_index)
        used = np.concatenate([used, colours])
        _paint(canvas, layer.cover, _texture(rng, height, width, colours, layer.diameter))
    canvas += rng.integers(-5, 6, size=(height, width, 1))
    owner = np.full((height, width), -1)
    for index, layer in enumerate(layers):
        owner[layer.mask] = index
    labels = np.full((height, width), BACKGROUND_LABEL, dtype=np.uint8)
    instances = []
    for index, layer in enumerate(layers):
        visible = owner == index
        if layer.is_crowd:
            # Whether the narrow gaps between its members belong to a crowd is anyone's guess.
            labels[_grow(visible, 2) & (owner == -1)] = IGNORE_LABEL
        labels[visible] = FIRST_SHAPE_LABEL + layer.class_index
        instances.append(Instance(layer.class_index, visible, layer.is_crowd))
    return Scene(np.clip(canvas, 0, 255).astype(np.uint8), labels, tuple(instances))


def _circle(
    radius: float, count: int = 48, start: float = 0.0, sweep: float = 2 * math.pi
) -> list[tuple[float, float]]:
    angles = [start + sweep * k / count for k in range(count)]
    return [(radius * math.cos(a), radius * math.sin(a)) for a in angles]


def _outline(name: str) -> list[list[tuple[float, float]]]:
    """Contours of a class within the unit circle; what lies inside an odd number of them belongs to the shape."""
    if name == 'circle':
        return [_circle(1)]
    if name == 'square':
        return [_circle(1, 4)]
    if name == 'triangle':
        return [_circle(1, 3)]
    if name == 'star':
        tips, dents = _circle(1, 5), _circle(0.42, 5, math.pi / 5)
        return [[point for pair in zip(tips, dents) for point in pair]]
    if name == 'cross':
        arm, tip = 0.3, 0.95
        corner = [(arm, tip), (arm, arm), (tip, arm)]
        # A quarter turn takes (x, y) to (y, -x).
        quarters = [corner]
        for _ in range(3):
            quarters.append([(y, -x) for x, y in quarters[-1]])
        return [[point for quarter in quarters for point in quarter]]
    if name == 'ring':
        return [_circle(1), _circle(0.56)]
    if name == 'crescent':
        # The unit circle less a circle of radius 0.8 about (0.45, 0); they cross at x = 0.625.
        outer, inner = math.acos(0.625), math.acos((0.625 - 0.45) / 0.8)
        bite = _circle(0.8, 24, 2 * math.pi - inner, 2 * inner - 2 * math.pi)
        return [_circle(1, 36, outer, 2 * math.pi - 2 * outer) + [(x + 0.45, y) for x, y in bite]]
    if name == 'bowtie':
        return [[(-0.8, -0.6), (0, -0.14), (0.8, -0.6), (0.8, 0.6), (0, 0.14), (-0.8, 0.6)]]
    raise ValueError(f'no outline for {name!r}')


def _moved(
    name: str, centre: tuple[float, float], diameter: float, angle: float, squeeze: float = 1.0
) -> list[np.ndarray]:
    """Contours of a class, each (N, 2) in px: squeezed along y, turned by `angle` radians, scaled, moved."""
    cos, sin, radius = math.cos(angle), math.sin(angle), diameter / 2
    contours = []
    for contour in _outline(name):
        x, y = np.array(contour).T
        y = y * squeeze
        points = np.stack([centre[0] + radius * (cos * x - sin * y), centre[1] + radius * (sin * x + cos * y)], axis=1)
        # Trigonometry may differ in the last bit between machines; 1/64 px does not.
        contours.append(np.round(points * 64) / 64)
    return contours


def _coverage(contours: list[np.ndarray], left: int, top: int, width: int, height: int) -> np.ndarray:
    """Sub-pixels of each pixel inside the even-odd union of contours: (height, width) uint8, 0 .. FULL."""
    toggles = np.zeros((height * SUBPIXELS, width * SUBPIXELS + 1), dtype=np.uint8)
    y = (np.arange(height * SUBPIXELS)[:, None] + 0.5) / SUBPIXELS + top
    for contour in contours:
        (x0, y0), (x1, y1) = contour.T, np.roll(contour, -1, axis=0).T
        rows, edges = np.nonzero((y0 <= y) != (y1 <= y))
        slope = (x1[edges] - x0[edges]) / (y1[edges] - y0[edges])
        x = x0[edges] + (y[rows, 0] - y0[edges]) * slope
        columns = np.clip(np.ceil((x - left) * SUBPIXELS - 0.5), 0, width * SUBPIXELS).astype(int)
        np.add.at(toggles, (rows, columns), 1)
    inside = np.cumsum(toggles[:, :-1], axis=1, dtype=np.uint8) & 1
    lines = sum((inside[k::SUBPIXELS] for k in range(1, SUBPIXELS)), inside[::SUBPIXELS])
    return sum((lines[:, k::SUBPIXELS] for k in range(1, SUBPIXELS)), lines[:, ::SUBPIXELS])


def _cover(contours: list[np.ndarray], shape: tuple[int, int]) -> tuple[np.ndarray, int]:
    """Coverage on a canvas of `shape`: (H, W) uint8, 0 .. FULL, and the area in px, also of what lies beyond it."""
    height, width = shape
    points = np.concatenate(contours)
    left, top = (int(v) - 1 for v in np.floor(points.min(axis=0)))
    right, bottom = (int(v) + 1 for v in np.ceil(points.max(axis=0)))
    window = _coverage(contours, left, top, right - left, bottom - top)
    cover = np.zeros(shape, dtype=np.uint8)
    part = window[max(-top, 0) : max(height - top, 0), max(-left, 0) : max(width - left, 0)]
    row, column = max(top, 0), max(left, 0)
    cover[row : row + part.shape[0], column : column + part.shape[1]] = part
    return cover, int((window * 2 >= FULL).sum())


def _layer(
    class_index: int, contours: list[np.ndarray], diameter: float, is_crowd: bool, shape: tuple[int, int]
) -> _Layer:
    cover, area = _cover(contours, shape)
    return _Layer(class_index, is_crowd, diameter, cover, cover * 2 >= FULL, area)


def _place(rng: np.random.Generator, height: int, width: int, with_crowd: bool) -> list[_Layer]:
    """Layers from bottom to top, each showing at least MIN_VISIBLE_FRACTION of itself in the end."""
    count = int(rng.integers(2, 7))
    # On top: of tiny shapes little may be hidden.
    crowd_at = count - 1 if with_crowd else -1
    placed: list[_Layer] = []
    shown: list[np.ndarray] = []
    for index in range(count):
        for _ in range(PLACEMENT_TRIES):
            draw = _random_crowd if index == crowd_at else _random_shape
            layer = draw(rng, height, width)
            rest = [mask & ~layer.mask for mask in shown] + [layer.mask]
            if all(_shows(mask, owner) for mask, owner in zip(rest, [*placed, layer])):
                placed.append(layer)
                shown = rest
                break
    return placed


def _shows(mask: np.ndarray, layer: _Layer) -> bool:
    count = int(mask.sum())
    return count >= MIN_VISIBLE_PIXELS and count >= MIN_VISIBLE_FRACTION * layer.area


def _random_shape(rng: np.random.Generator, height: int, width: int) -> _Layer:
    side = min(height, width)
    class_index = int(rng.integers(len(SHAPES_CLASSES)))
    if rng.random() < 0.2:
        diameter = MIN_DIAMETER + rng.random() * 0.1 * side
    else:
        # The square leans towards the middle sizes.
        diameter = (0.2 + 0.4 * rng.random() ** 1.5) * side
    # The centre keeps a third of the diameter away from the border, so most shapes are whole and some are cut.
    keep = diameter / 3
    centre = (keep + rng.random() * (width - 2 * keep), keep + rng.random() * (height - 2 * keep))
    angle, squeeze = rng.random() * 2 * math.pi, 0.85 + 0.15 * rng.random()
    contours = _moved(SHAPES_CLASSES[class_index], centre, diameter, angle, squeeze)
    return _layer(class_index, contours, diameter, False, (height, width))


def _random_crowd(rng: np.random.Generator, height: int, width: int) -> _Layer:
    class_index = int(rng.integers(len(SHAPES_CLASSES)))
    rows, columns = int(rng.integers(3, 5)), int(rng.integers(3, 5))
    diameter, pitch = 8.0, 9.5
    left = 4 + rng.random() * (width - columns * pitch - 8)
    top = 4 + rng.random() * (height - rows * pitch - 8)
    contours = []
    for cell in range(rows * columns):
        row, column = divmod(cell, columns)
        centre = (left + (column + 0.5) * pitch + rng.random(), top + (row + 0.5) * pitch + rng.random())
        contours += _moved(SHAPES_CLASSES[class_index], centre, diameter, rng.random() * 2 * math.pi)
    return _layer(class_index, contours, diameter, True, (height, width))


def _distance(pairs: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Squared distance of each colour pair (N, 2, 3) to the nearest of some colours (M, 3): (N,) int."""
    return ((pairs[:, :, None] - others) ** 2).sum(axis=-1).min(axis=(1, 2))


def _typical(rng: np.random.Generator, class_index: int, count: int) -> np.ndarray:
    """Colours of the hue that a class prefers: (count, 1, 3) int."""
    hue = (class_index + 0.5 + HUE_SPREAD * (rng.random(count) * 2 - 1)) / len(SHAPES_CLASSES)
    saturation, value = 0.55 + 0.45 * rng.random(count), 0.45 + 0.55 * rng.random(count)
    rgb = [colorsys.hsv_to_rgb(h % 1, s, v) for h, s, v in zip(hue, saturation, value)]
    return np.round(np.array(rgb) * 255).astype(int)[:, None]


def _colours(
    rng: np.random.Generator,
    ground: np.ndarray,
    used: np.ndarray | None = None,
    contrast: int = MIN_CONTRAST,
    class_index: int | None = None,
) -> np.ndarray:
    """Two related colours, (2, 3) int, that keep `contrast` from the ground's colours (M, 3).

    Of the first few that do, the one farthest from the colours used already, (L, 3); the farthest from the ground if
    none does.
    """
    first, spread = rng.integers(0, 256, size=(32, 1, 3)), 90
    if class_index is not None and rng.random() < TYPICAL:
        first, spread = _typical(rng, class_index, 32), 40
    other = np.clip(first + rng.integers(-spread, spread + 1, size=(32, 1, 3)), 0, 255)
    pairs = np.concatenate([first, other], axis=1)
    squared = _distance(pairs, ground)
    good = pairs[squared >= contrast**2][:4]
    if not len(good):
        return pairs[squared.argmax()]
    return good[0] if used is None else good[_distance(good, used).argmax()]


def _blend(colours: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Mix two colours (2, 3) by weight (H, W), 0 .. 256: (H, W, 3) int."""
    weight = weight[..., None]
    return (colours[0] * (256 - weight) + colours[1] * weight) // 256


def _axes(rng: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Two perpendicular integer coordinates, each (H, W), and how many units of them one pixel is long."""
    a, b = int(rng.integers(1, 9)), int(rng.integers(-8, 9))
    y, x = np.mgrid[:height, :width]
    return a * x + b * y, a * y - b * x, math.sqrt(a * a + b * b)


def _texture(
    rng: np.random.Generator, height: int, width: int, colours: np.ndarray, diameter: float, kind: str | None = None
) -> np.ndarray:
    """A surface of two colours: (H, W, 3) int."""
    kinds = TEXTURES if diameter >= PATTERN_DIAMETER else PLAIN_TEXTURES
    kind = kind or kinds[int(rng.integers(len(kinds)))]
    u, v, unit = _axes(rng, height, width)
    period = max(1, round(unit * (3 + rng.random() * diameter / 9)))
    if kind == 'solid':
        weight = np.zeros_like(u)
    elif kind == 'gradient':
        # One sweep of the colours over about the length of the shape, to and fro.
        length = max(1, round(unit * diameter))
        weight = np.abs(u % (2 * length) - length) * 256 // length
    elif kind == 'noise':
        weight = rng.integers(0, 257, size=u.shape)
    elif kind == 'stripes':
        weight = u // period % 2 * 256
    elif kind == 'checker':
        weight = (u // period + v // period) % 2 * 256
    else:
        cell = 2 * period
        weight = ((u % cell - period) ** 2 + (v % cell - period) ** 2 < period * period * 2 // 5) * 256
    return _blend(colours, weight)


def _paint(canvas: np.ndarray, cover: np.ndarray, surface: np.ndarray) -> None:
    """Lay a surface over the canvas (H, W, 3) where it is covered, in place."""
    touched = cover > 0
    part = cover[touched].astype(int)[:, None]
    canvas[touched] = (canvas[touched] * (FULL - part) + surface[touched] * part + FULL // 2) // FULL


def _ground(rng: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A cluttered ground without shapes: canvas (H, W, 3) int, and the two colours it is made of (2, 3)."""
    first = rng.integers(30, 226, size=3)
    ground = np.stack([first, np.clip(first + rng.integers(-40, 41, size=3), 0, 255)])
    kind = ('gradient', 'stripes', 'noise')[int(rng.integers(3))]
    canvas = _texture(rng, height, width, ground, max(height, width), kind)
    canvas += _blobs(rng, height, width)
    for _ in range(int(rng.integers(2, 8))):
        cover, _ = _cover([_stroke(rng, height, width)], (height, width))
        colour = _colours(rng, ground, contrast=MIN_CONTRAST // 2)[0]
        _paint(canvas, cover, np.broadcast_to(colour, canvas.shape))
    return canvas, ground


def _blobs(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Soft light and dark patches, (H, W, 1) int within -18 .. 18: a coarse random grid, interpolated in integers."""
    cells = int(rng.integers(3, 7))
    grid = rng.integers(-18, 19, size=(cells + 1, cells + 1))

    def steps(length: int) -> tuple[np.ndarray, np.ndarray]:
        position = np.arange(length) * cells * 256 // length
        return position // 256, position % 256

    (row, dy), (column, dx) = steps(height), steps(width)
    dy = dy[:, None]
    upper = grid[row][:, column] * (256 - dx) + grid[row][:, column + 1] * dx
    lower = grid[row + 1][:, column] * (256 - dx) + grid[row + 1][:, column + 1] * dx
    return ((upper * (256 - dy) + lower * dy) // 65536)[..., None]


def _stroke(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A thin bent line that belongs to no class, as a closed contour (2N, 2)."""
    angle, length = rng.random() * 2 * math.pi, 10 + rng.random() * 0.5 * min(height, width)
    thick, bend = 0.6 + rng.random() * 0.7, (rng.random() - 0.5) * 3
    x, y = rng.random() * width, rng.random() * height
    steps = 8
    left, right = [], []
    for _ in range(steps + 1):
        dx, dy = math.cos(angle), math.sin(angle)
        left.append((x - dy * thick, y + dx * thick))
        right.append((x + dy * thick, y - dx * thick))
        x, y, angle = x + dx * length / steps, y + dy * length / steps, angle + bend / steps
    return np.round(np.array(left + right[::-1]) * 64) / 64


def _grow(mask: np.ndarray, radius: int) -> np.ndarray:
    """The mask (H, W) widened by a box of `radius` px."""
    height, width = mask.shape
    padded = np.pad(mask, radius)
    size = 2 * radius + 1
    tall = np.any([padded[k : k + height] for k in range(size)], axis=0)
    return np.any([tall[:, k : k + width] for k in range(size)], axis=0)

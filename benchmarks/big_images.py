"""Large images whole against tiles: processor time and peak memory of a segmentor by image size and backbone.

    python benchmarks/big_images.py
    python benchmarks/big_images.py --models seq2d_s --sides 512 1024     # some of it

Each point is a process of its own with one thread: a Semantic FPN of 8 classes from random weights segments one square
image as ``mmseq infer`` does it, whole or in tiles of 512 px that overlap by a fifth. Time is the processor's, so that
it can be measured beside other work. Memory is what the pass adds to the process at its peak; Python, the libraries and
the weights are 0.7 GB before that. A point is left out if the next smaller one lets it expect more than a minute or
10 GB, or if the result file has it. Writes benchmarks/results/big_images.json and docs/images/big_images.png.
"""

import argparse
import importlib
import json
import multiprocessing
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from mmseq.compat.allocator import resident
from mmseq.files import write_figure
from mmseq.large import tiles
from mmseq.model.trained import load_trained

RESULT = Path(__file__).parent / 'results' / 'big_images.json'
CHART = Path(__file__).parents[1] / 'docs' / 'images' / 'big_images.png'
SIDES = (512, 1024, 2048, 3072, 4096)
TILE, OVERLAP = 512, 0.2
MOST_SECONDS, MOST_BYTES = 60, 10e9
SWIN = dict(_delete_=True, type='mmseq.Timm', name='swin_tiny_patch4_window7_224', out_strides=(4, 8, 16, 32))
# Name, config, what takes the place of its backbone, and a colour of Okabe and Ito 2008.
MODELS: dict[str, tuple[str, str, dict[str, Any], str]] = {
    'seq2d_s': ('Sequencer2D-S', 'seq2d_s', {}, '#0072b2'),
    'shiftvit_t': ('ShiftViT-T', 'shiftvit_t', {}, '#d55e00'),
    'vil_t': ('ViL-T', 'vil_t', {}, '#009e73'),
    # Of the same channels as ShiftViT-T.
    'swin_t': ('Swin-T (timm)', 'shiftvit_t', {'model.backbone': SWIN}, '#8c8c8c'),
}
INK, GRID = '#303030', '#e4e4e4'


def measure(name: str, side: int, tiled: bool, sender: Connection) -> None:
    """Send bytes and processor seconds of one image in this process."""
    _, config, backbone, _ = MODELS[name]
    options = {'model.backbone.init_cfg': None, 'model.decode_head.num_classes': 8, **backbone}
    _, model = load_trained(f'configs/semantic_fpn_{config}_ade20k.py', None, options=options, device='cpu')
    model = tiles.tiled(model, tiles.Tiles(TILE, OVERLAP)) if tiled else model
    # Of mmseg, which is importable by now.
    from mmseg.structures import SegDataSample

    image = torch.randint(0, 256, (3, side, side), dtype=torch.uint8)
    sample = SegDataSample(metainfo=dict(ori_shape=(side, side), img_shape=(side, side)))
    # Resets the peak that the kernel keeps (proc(5), clear_refs).
    Path('/proc/self/clear_refs').write_text('5')
    before, start = resident('VmRSS'), time.process_time()
    with torch.no_grad():
        model.test_step(dict(inputs=[image], data_samples=[sample]))
    sender.send(dict(seconds=round(time.process_time() - start, 2), peak_bytes=resident('VmHWM') - before))


def measured(name: str, side: int, tiled: bool) -> dict[str, Any]:
    """One image in a process of its own, which begins with the imports of this one."""
    context = multiprocessing.get_context('fork')
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=measure, args=(name, side, tiled, sender))
    process.start()
    sender.close()
    found: dict[str, Any] = receiver.recv()
    process.join()
    return found


def too_much(points: list[dict[str, Any]], name: str, side: int, tiled: bool) -> bool:
    """Whether the next smaller point lets this one expect more than is measured."""
    smaller = [p for p in points if (p['model'], p['tiled']) == (name, tiled) and p['side'] < side]
    if not smaller:
        return False
    last = max(smaller, key=lambda point: point['side'])
    growth = (side / last['side']) ** 2
    memory = last['peak_bytes'] * (1 if tiled else growth)
    return bool(last['seconds'] * growth > MOST_SECONDS or memory > MOST_BYTES)


def draw(points: list[dict[str, Any]]) -> None:
    """The chart."""
    figure = Figure(figsize=(9, 4), dpi=130, layout='constrained')
    FigureCanvasAgg(figure)

    def panel(axes: Axes, key: str, unit: float, title: str) -> None:
        for name, (label, _, _, colour) in MODELS.items():
            for tiled, line in ((False, '-'), (True, ':')):
                own = sorted((p['side'], p[key] / unit) for p in points if (p['model'], p['tiled']) == (name, tiled))
                if own:
                    text = label if not tiled else None
                    axes.plot(*zip(*own), line, color=colour, label=text, marker='o', markersize=3, linewidth=2)
        axes.set_title(title, loc='left', fontsize=10, color=INK)
        axes.set_xscale('log', base=2)
        axes.set_yscale('log')
        axes.xaxis.set_major_locator(FixedLocator(SIDES))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(lambda side, _: f'{side:g}')
        axes.yaxis.set_major_formatter(lambda value, _: f'{value:g}')
        axes.yaxis.set_minor_formatter(lambda value, _: f'{value:g}' if f'{value:g}'.strip('0.') in '25' else '')
        axes.set_xlabel('side of the image in pixels', color=INK)
        axes.grid(True, color=GRID)
        axes.spines[['top', 'right']].set_visible(False)

    left, right = figure.subplots(1, 2)
    panel(left, 'peak_bytes', 1e9, 'memory of a pass, GB')
    panel(right, 'seconds', 1, 'processor time, s (one thread)')
    left.plot([], [], '-', color=INK, label='whole image')
    left.plot([], [], ':', color=INK, label=f'tiles of {TILE} px')
    left.legend(frameon=False, fontsize=8)
    write_figure(CHART, figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--models', nargs='+', default=list(MODELS), choices=list(MODELS))
    parser.add_argument('--sides', nargs='+', type=int, default=SIDES, metavar='PX')
    args = parser.parse_args()
    torch.set_num_threads(1)
    # Once for all processes.
    importlib.import_module('mmseg.models')
    importlib.import_module('timm')
    points = json.loads(RESULT.read_text())['points'] if RESULT.exists() else []
    for side in sorted(args.sides):
        for name in args.models:
            for tiled in (False, True):
                if any((p['model'], p['side'], p['tiled']) == (name, side, tiled) for p in points):
                    continue
                if too_much(points, name, side, tiled):
                    print(f'{name:12}{side:6} px  {"tiles" if tiled else "whole"}  left out', flush=True)
                    continue
                point = dict(model=name, side=side, tiled=tiled, **measured(name, side, tiled))
                points.append(point)
                print(
                    f'{name:12}{side:6} px  {"tiles" if tiled else "whole"}  {point["peak_bytes"] / 1e9:6.2f} GB'
                    f'{point["seconds"]:8.1f} s',
                    flush=True,
                )
                RESULT.write_text(json.dumps(dict(tile=TILE, overlap=OVERLAP, points=points), indent=1) + '\n')
    draw(points)


if __name__ == '__main__':
    main()

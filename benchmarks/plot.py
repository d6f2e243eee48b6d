"""Draw throughput and peak memory against image size, ours beside peers, from the results of benchmarks/backbones.py.

    python benchmarks/plot.py benchmarks/results/backbones_cpu.json --out docs/images/speed_cpu

Writes OUT.png and OUT.svg.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

from mmseq.cli import run
from mmseq.errors import InputError

# Okabe and Ito 2008; a model and those that do the same have one colour, ours a full line.
STYLES: dict[str, tuple[str, str, str]] = {
    'seq2d_s': ('Sequencer2D-S, mmseq', '#0072b2', '-'),
    'timm_sequencer2d_s': ('Sequencer2D-S, timm', '#0072b2', ':'),
    'seq2d_s_triton': ('Sequencer2D-S, mmseq with Triton', '#0072b2', '--'),
    'shiftvit_t': ('ShiftViT-T, mmseq', '#d55e00', '-'),
    'authors_shiftvit_t': ('ShiftViT-T, authors', '#d55e00', ':'),
    'vil_t': ('ViL-T, mmseq', '#009e73', '-'),
    'authors_vil_t': ('ViL-T, authors', '#009e73', ':'),
    'vil_t_triton': ('ViL-T, mmseq with Triton', '#009e73', '--'),
    'timm_swin_t': ('Swin-T, timm', '#8c8c8c', '-'),
    'timm_swin_s': ('Swin-S, timm', '#8c8c8c', '--'),
    'timm_convnext_t': ('ConvNeXt-T, timm', '#b5a100', '-'),
    'timm_vit_s': ('ViT-S, timm', '#cc79a7', '-'),
}
INK, GRID = '#303030', '#e4e4e4'


def panel(axes: Axes, points: list[dict[str, Any]], mode: str, what: str) -> None:
    """One quantity of one mode against the side of the image, both axes logarithmic."""
    for name, (label, colour, line) in STYLES.items():
        own = [p for p in points if (p['model'], p['mode'], p['batch']) == (name, mode, 1) and 'seconds' in p]
        # Sizes that a model rounds down to the same side were measured twice; the first one stands.
        by_side = {p['side']: p for p in reversed(own)}
        chosen = [by_side[side] for side in sorted(by_side)]
        if what == 'peak memory (MB)':
            values = [(p['side'], p['peak_bytes'] / 2**20) for p in chosen if p.get('peak_bytes')]
        else:
            # Megapixels, or every curve would show little but that large images are large.
            values = [(p['side'], p['side'] ** 2 / 1e6 / p['seconds']['median']) for p in chosen]
        if values:
            ours = not name.startswith(('timm', 'authors'))
            axes.plot(
                *zip(*values), line, color=colour, label=label, linewidth=2 if ours else 1.3, marker='o', markersize=2.5
            )
    axes.set_title(f'{mode}: {what}', loc='left', fontsize=10, color=INK)
    axes.set_xscale('log', base=2)
    axes.set_yscale('log')
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(ScalarFormatter())
        axis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.set_xticks([224, 448, 896, 1792], labels=['224', '448', '896', '1792'])
    axes.set_xlabel('side of the image (px)', fontsize=8, color=INK)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[['top', 'right']].set_visible(False)
    axes.tick_params(labelsize=8, colors=INK, length=3)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('results', type=Path, help='a file that benchmarks/backbones.py wrote')
    parser.add_argument('--out', type=Path, help='without suffix; default: docs/images/speed_cpu or ..._gpu')
    args = parser.parse_args()
    if not args.results.is_file():
        raise InputError(f'{args.results}: no such file; benchmarks/backbones.py writes one')
    results = json.loads(args.results.read_text())
    points = results['points']
    if not any('seconds' in point for point in points):
        raise InputError(f'{args.results}: holds no timing')
    device, threads = results['machine']['device'], results['machine']['threads']
    gpu = 'cpu' not in args.results.stem
    quantities = ['throughput (megapixels / s)', 'peak memory (MB)']
    modes = [mode for mode in ('inference', 'training') if any(point['mode'] == mode for point in points)]
    figure = Figure(figsize=(5.2 * len(quantities), 3.6 * len(modes) + 0.9), dpi=130, layout='constrained')
    FigureCanvasAgg(figure)
    where = device if gpu else f'{device}, {threads} threads'
    figure.suptitle(f'One image, {results["dtype"]}, {where}', x=0.01, ha='left', fontsize=11, color=INK)
    for row, mode in enumerate(modes):
        for column, what in enumerate(quantities):
            axes = figure.add_subplot(len(modes), len(quantities), row * len(quantities) + column + 1)
            panel(axes, points, mode, what)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc='outside lower center', ncols=4, fontsize=8, frameon=False, labelcolor=INK)
    out = args.out or Path(f'docs/images/speed_{"gpu" if gpu else "cpu"}')
    out.parent.mkdir(parents=True, exist_ok=True)
    for suffix in ('png', 'svg'):
        partial = out.with_name(f'.{out.name}.{suffix}')
        figure.savefig(partial, format=suffix, metadata={'Date': None} if suffix == 'svg' else None)
        print(partial.replace(out.with_suffix(f'.{suffix}')))
    return 0


if __name__ == '__main__':
    run(main)

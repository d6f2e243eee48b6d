"""Work dirs as trainings leave them, written within milliseconds."""

import json
from collections.abc import Sequence
from pathlib import Path

CLASSES = ('sky', 'road', 'ghost')
LOG = """2026/01/01 00:00:00 - mmengine - INFO -
------------------------------------------------------------
System environment:
    sys.platform: linux
    PyTorch: 2.14.1
    PyTorch compiling details: PyTorch built with:
  - GCC 13.3

    MMEngine: 0.10.7

Runtime environment:
    mp_cfg: {'mp_start_method': 'fork'}
    seed: %d
------------------------------------------------------------

2026/01/01 00:00:00 - mmengine - INFO - Config:
"""
CONFIG = """
work_dir = %r
model = dict(type='Segmentor', backbone=dict(type='mmseq.Sequencer2D', arch='nano'))
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=%r))
train_dataloader = dict(dataset=dict(record_dir=%r))
custom_hooks = [dict(type='mmseq.RecipeHook', notes=['rate %r'])]
randomness = dict(seed=%d)
variable = %r
"""


def write_run(
    folder: Path,
    seed: int = 0,
    lr: float = 0.1,
    miou: Sequence[float] = (30.0, 50.0, 40.0),
    classes: Sequence[str] = CLASSES,
) -> Path:
    """A segmentor of 30 iterations, validated every 10; returns the folder."""
    home = folder / '20260101_000000'
    (home / 'vis_data').mkdir(parents=True)
    (home / 'vis_data' / 'config.py').write_text(CONFIG % (str(folder), lr, str(folder), lr, seed, lr))
    (home / 'run.log').write_text(LOG % seed)
    scalars, history = [], []
    for i in range(1, 31):
        scalars.append(dict(loss=3 / i, lr=lr, time=0.5, memory=100 + i, iter=i, step=i))
        if i % 10 == 0:
            metrics = dict(mIoU=miou[i // 10 - 1], aAcc=60.0 + i)
            scalars.append(dict(metrics, time=0.1, step=i))
            history.append(dict(time='2026-01-01T00:00:00', run=home.name, iteration=i, epoch=0, metrics=metrics))
    (home / 'vis_data' / 'scalars.json').write_text('\n'.join(map(json.dumps, scalars)))
    (folder / 'metrics_history.jsonl').write_text('\n'.join(map(json.dumps, history)))
    report = dict(mode='val', metrics=metrics, iteration=30, config='upernet_seq2d_nano_shapes.py', dataset_size=4)
    report.update(versions=dict(mmseq='0.1.0'), checkpoint=str(folder / 'iter_30.pth'), time='2026-01-01T00:00:00')
    (folder / 'metrics.json').write_text(json.dumps(report))
    write_tables(folder, classes)
    return folder


def write_tables(folder: Path, classes: Sequence[str]) -> None:
    """What an evaluation of a segmentor says of classes and images."""
    rows = [['class', 'IoU', 'label_pixels'], *([name, 10.0 * i, 100 - i] for i, name in enumerate(classes))]
    # a class that never occurs
    rows[-1][1] = ''
    write_csv(folder / 'per_class.csv', rows)
    counts = [[name, *(10 * (i == j) + i + j for j in range(len(classes)))] for i, name in enumerate(classes)]
    write_csv(folder / 'confusion_matrix.csv', [['truth \\ prediction', *classes], *counts])
    images = [[f'gone/{name}.png', score] for name, score in zip('abcd', (90.0, 20.0, '', 55.5))]
    write_csv(folder / 'per_image.csv', [['image', 'score'], *images])


def write_csv(path: Path, rows: Sequence[Sequence[object]]) -> None:
    """Cells without quotes where they need none."""
    import csv

    with path.open('w', newline='') as file:
        csv.writer(file, lineterminator='\n').writerows(rows)

"""Curves are read from mmengine's own log files and drawn without global state."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmseq.errors import InputError
from mmseq.pictures.contact_sheet import contact_sheet
from mmseq.pictures.curves import _running_mean, arrange, plot_curves, read_curves


def _log(work_dir: Path, run: str, records: list[dict], tail: str = '') -> None:
    path = work_dir / run / 'vis_data' / 'scalars.json'
    path.parent.mkdir(parents=True)
    path.write_text(''.join(json.dumps(record) + '\n' for record in records) + tail)


def _step(iteration: int, **values: float) -> dict:
    return {'lr': 0.1, 'data_time': 0.01, 'time': 0.2, 'loss': 1 / iteration, **values} | {
        'iter': iteration,
        'step': iteration,
    }


def test_resumed_runs_join_and_replace_what_they_repeat(tmp_path: Path) -> None:
    first = [_step(i, loss=1.0) for i in (10, 20, 30, 40)]
    _log(tmp_path, '20260101_000000', [*first[:2], {'mIoU': 5.0, 'time': 9.0, 'step': 20}, *first[2:]])
    second = [_step(i, loss=2.0) for i in (30, 40, 50)]
    _log(tmp_path, '20260102_000000', [*second, {'mIoU': 7.0, 'step': 50}])
    curves = read_curves(tmp_path)
    assert curves.train['loss'] == {10: 1.0, 20: 1.0, 30: 2.0, 40: 2.0, 50: 2.0}
    assert curves.val == {'mIoU': {20: 5.0, 50: 7.0}}


def test_a_run_started_anew_stands_alone(tmp_path: Path) -> None:
    _log(tmp_path, '20260101_000000', [_step(10), _step(20), {'mIoU': 5.0, 'step': 20}])
    _log(tmp_path, '20260102_000000', [_step(10)])
    curves = read_curves(tmp_path)
    assert list(curves.train['loss']) == [10]
    assert not any(curves.val.values())
    assert list(arrange(curves)) == ['loss', 'learning rate', 'time per iteration (s)']


def test_validations_by_epoch_stand_at_their_iteration(tmp_path: Path) -> None:
    records = [_step(50, epoch=1), _step(100, epoch=1), {'coco/bbox_mAP': 0.1, 'step': 1}]
    records += [_step(150, epoch=2), {'coco/bbox_mAP': 0.2, 'step': 2}]
    _log(tmp_path, '20260101_000000', records)
    assert read_curves(tmp_path).val == {'coco/bbox_mAP': {100: 0.1, 150: 0.2}}


def test_a_cut_off_line_and_a_test_run_are_no_obstacle(tmp_path: Path) -> None:
    _log(tmp_path, '20260101_000000', [_step(10, loss=float('nan')), _step(20)], tail='{"lr": 0.1, "lo')
    _log(tmp_path, '20260102_000000', [{'mIoU': 5.0, 'step': 0}])
    curves = read_curves(tmp_path)
    assert list(curves.train['loss']) == [10, 20]
    assert plot_curves(tmp_path).exists()


def test_no_log_is_an_input_error_naming_the_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=str(tmp_path)):
        plot_curves(tmp_path)


def test_panels_keep_units_apart(tmp_path: Path) -> None:
    record = _step(10, epoch=1, memory=100, loss_cls=0.5, grad_norm=2.0) | {
        'decode.acc_seg': 50.0,
        'decode.loss_ce': 1.0,
    }
    metrics = {
        'coco/bbox_mAP': 0.1,
        'coco/bbox_mAP_50': 0.2,
        'coco/segm_mAP': 0.1,
        'mIoU': 30.0,
        'aAcc': 60.0,
        'step': 1,
    }
    _log(tmp_path, '20260101_000000', [record, metrics])
    panels = {title: list(series) for title, series in arrange(read_curves(tmp_path)).items()}
    assert list(panels.items()) == [
        ('loss', ['loss', 'decode.loss_ce', 'loss_cls']),
        ('coco/bbox', ['coco/bbox_mAP', 'coco/bbox_mAP_50']),
        ('coco/segm', ['coco/segm_mAP']),
        ('validation', ['mIoU', 'aAcc']),
        ('training accuracy', ['decode.acc_seg']),
        ('grad_norm', ['grad_norm']),
        ('learning rate', ['lr']),
        ('time per iteration (s)', ['data_time', 'time']),
        ('memory (MB)', ['memory']),
    ]


def test_the_picture_is_drawn_and_nothing_else_is_left(tmp_path: Path) -> None:
    _log(tmp_path, '20260101_000000', [*(_step(i, epoch=1) for i in range(1, 200)), {'mIoU': 5.0, 'step': 1}])
    path = plot_curves(tmp_path)
    assert path == tmp_path / 'curves.png'
    pixels = np.asarray(Image.open(path).convert('RGB'))
    assert min(pixels.shape[:2]) > 300
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 50
    assert sorted(p.name for p in tmp_path.iterdir()) == ['20260101_000000', 'curves.png']
    assert plot_curves(tmp_path, tmp_path / 'below' / 'other.png').exists()


def test_names_are_no_formulas(tmp_path: Path) -> None:
    _log(tmp_path / '$..%$', '20260101_000000', [_step(1), {'IoU/$..%$': 5.0, 'IoU/b': 5.0, 'step': 1}])
    assert plot_curves(tmp_path / '$..%$').exists()


def test_pyplot_stays_unloaded() -> None:
    code = 'import sys, mmseq.pictures.curves; sys.exit("matplotlib.pyplot" in sys.modules)'
    assert subprocess.run([sys.executable, '-c', code]).returncode == 0


def test_running_mean_is_centred_and_leaves_nan_out() -> None:
    values = np.arange(100.0)
    assert np.allclose(_running_mean(values)[2:-2], values[2:-2])
    assert np.allclose(_running_mean(values)[[0, -1]], [1, 98])
    values[50] = np.nan
    assert np.isfinite(_running_mean(values)).all()
    assert np.isnan(_running_mean(np.full(40, np.nan))).all()


def _pictures(folder: Path, count: int) -> None:
    (folder / 'below').mkdir(parents=True)
    for i in range(count):
        colour = (i * 20, 0, 255 - i * 20)
        Image.new('RGB', (60, 30 + i), colour).save(
            folder / ('below' if i % 2 else '') / f'{i:02}.{"png" if i % 3 else "jpg"}'
        )


def test_contact_sheet_spans_the_folder(tmp_path: Path) -> None:
    _pictures(tmp_path / 'vis', 10)
    out = contact_sheet(tmp_path / 'vis', tmp_path / 'vis' / 'overview.png', n=5, columns=3, width=60)
    sheet = Image.open(out)
    # every second picture in the order of paths: 00 04 08 (heights 30, 34, 38), below/03 below/07 (33, 37); captions 16
    assert sheet.width == 3 * 60 + 4 * 8
    assert sheet.height == (38 + 16) + (37 + 16) + 3 * 8
    assert sheet.getpixel((8 + 5, 8 + 5))[2] > 250
    # the sheet is not part of the next sheet
    assert contact_sheet(tmp_path / 'vis', out, n=100, columns=10, width=60).exists()
    assert Image.open(out).width == 10 * 60 + 11 * 8


def test_contact_sheet_leaves_out_what_a_kill_left_half_written(tmp_path: Path) -> None:
    _pictures(tmp_path / 'vis', 2)
    out = contact_sheet(tmp_path / 'vis', tmp_path / 'sheet.png', width=60)
    whole = Image.open(out).size
    (tmp_path / 'vis' / '.00.png.0123abcd-1-0123abcd.draft.png').write_bytes(b'half')
    assert Image.open(contact_sheet(tmp_path / 'vis', out, width=60)).size == whole


def test_contact_sheet_without_pictures(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='no .png or .jpg'):
        contact_sheet(tmp_path, tmp_path / 'out.png')
    with pytest.raises(InputError, match='at least 1'):
        contact_sheet(tmp_path, tmp_path / 'out.png', columns=0)

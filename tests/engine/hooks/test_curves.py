"""The picture of the curves is drawn again when there is more to draw."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from mmseq.engine.hooks import CurvesHook


def test_a_picture_is_drawn_once_for_what_was_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    drawn: list[Path] = []
    monkeypatch.setattr('mmseq.pictures.curves.plot_curves', lambda folder: drawn.append(folder) or 'curves.png')
    runner = SimpleNamespace(work_dir=str(tmp_path), logger=SimpleNamespace(info=said.append), _train_loop=object())
    hook = CurvesHook()
    hook.after_train(runner)
    assert (len(drawn), said[0].startswith('no curves: ')) == (0, True)
    log = tmp_path / 'run' / 'vis_data' / 'scalars.json'
    log.parent.mkdir(parents=True)
    log.write_text(json.dumps(dict(iter=1, loss=2.0)) + '\n')
    hook.after_val_epoch(runner)
    hook.after_train(runner)
    assert (drawn, said[1:]) == ([tmp_path], ['curves: curves.png'])
    log.write_text(log.read_text() + json.dumps(dict(iter=2, loss=1.0)) + '\n')
    hook.after_train(runner)
    assert len(drawn) == 2

"""Pascal VOC's metric forks nothing."""

import os

import numpy as np
import pytest

import mmseq  # noqa: F401


def test_no_process_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    # After ours, which makes it importable.
    from mmdet.evaluation import eval_map

    def fork() -> int:
        raise AssertionError('a process with threads was forked')

    monkeypatch.setattr(os, 'fork', fork)
    box = np.array([[0, 0, 10, 10]], np.float32)
    found = [[np.hstack([box, [[0.9]]]).astype(np.float32)], [np.hstack([box + 40, [[0.8]]]).astype(np.float32)]]
    labelled = dict(bboxes=box, labels=np.array([0]))
    # One of two boxes is found.
    mean, (row,) = eval_map(found, [labelled, labelled], iou_thr=0.5, logger='silent', nproc=2)
    assert (row['num_gts'], row['num_dets']) == (2, 2)
    assert mean == pytest.approx(0.5)

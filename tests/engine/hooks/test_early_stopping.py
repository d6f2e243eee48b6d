"""The count of evaluations without a better one, over a resume."""

from types import SimpleNamespace

import pytest

from mmseq.engine.hooks import EarlyStoppingHook

FIGURES = [0.1, 0.3, 0.2, 0.25, 0.28, 0.1, 0.2]


def runner(resume: bool) -> SimpleNamespace:
    logger = SimpleNamespace(info=lambda line: None)
    return SimpleNamespace(_resume=resume, train_loop=SimpleNamespace(stop_training=False), logger=logger)


def evaluations(hook: EarlyStoppingHook, run: SimpleNamespace, figures: list[float]) -> int:
    """How many the hook lets happen."""
    for count, figure in enumerate(figures, 1):
        hook.after_val_epoch(run, dict(mIoU=figure))
        if run.train_loop.stop_training:
            return count
    return len(figures)


@pytest.mark.parametrize('cut', [1, 3, 4])
def test_a_resumed_run_ends_where_the_uninterrupted_one_does(cut: int) -> None:
    whole = evaluations(EarlyStoppingHook('mIoU', min_delta=0.0, patience=4), runner(False), FIGURES)
    assert whole == 6
    first, checkpoint = EarlyStoppingHook('mIoU', min_delta=0.0, patience=4), dict(meta={})
    evaluations(first, runner(False), FIGURES[:cut])
    first.before_save_checkpoint(runner(False), checkpoint)
    second, run = EarlyStoppingHook('mIoU', min_delta=0.0, patience=4), runner(True)
    second.after_load_checkpoint(run, checkpoint)
    assert cut + evaluations(second, run, FIGURES[cut:]) == whole


def test_another_figure_or_a_new_run_counts_anew() -> None:
    old, checkpoint = EarlyStoppingHook('mIoU', patience=2), dict(meta={})
    old.best_score, old.wait_count = 0.9, 1
    old.before_save_checkpoint(runner(False), checkpoint)
    for hook, resume in ((EarlyStoppingHook('mAcc', patience=2), True), (EarlyStoppingHook('mIoU', patience=2), False)):
        hook.after_load_checkpoint(runner(resume), checkpoint)
        assert hook.wait_count == 0

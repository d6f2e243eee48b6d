"""A loader that holds the training up is told once an interval."""

from types import SimpleNamespace

import pytest

from mmseq.engine.hooks import LoaderShareHook


def run(times: list[tuple[float, float]], workers: int = 0, persistent: bool = False, **options) -> list[str]:
    said: list[str] = []
    now: dict[str, float] = {}
    runner = SimpleNamespace(
        logger=SimpleNamespace(warning=said.append),
        message_hub=SimpleNamespace(get_scalar=lambda key: SimpleNamespace(current=lambda: now[key])),
        train_dataloader=SimpleNamespace(num_workers=workers, persistent_workers=persistent),
    )
    hook = LoaderShareHook(**options)
    hook.before_train(runner)
    for index, (waited, took) in enumerate(times):
        now.update({'train/data_time': waited, 'train/time': took})
        hook.after_train_iter(runner, index)
    return said


def test_the_share_is_that_of_the_whole_interval() -> None:
    """9 of 30 s: more than a quarter, though most iterations do not wait."""
    times = [(100.0, 100.0)] + [(0.0, 1.0)] * 9 + [(9.0, 21.0)]
    (said,) = run(times, interval=10, max_share=0.25)
    assert '30% of the last 10 iterations was waiting for data (0.900 of 3.000 s each)' in said
    assert run(times, interval=10, max_share=0.35) == []


def test_once_an_interval() -> None:
    assert len(run([(1.0, 1.0)] * 36, interval=10)) == 3
    assert run([(1.0, 1.0)] * 10, interval=10) == []


@pytest.mark.parametrize(
    'workers, persistent, words',
    [(0, False, 'num_workers=4'), (1, False, 'persistent_workers=True'), (10**6, True, 'store the images smaller')],
)
def test_advice_fits_the_loader(workers: int, persistent: bool, words: str) -> None:
    (said,) = run([(1.0, 1.0)] * 11, workers, persistent, interval=10)
    assert words in said
    assert ('raise train_dataloader' in said) == (workers == 1)

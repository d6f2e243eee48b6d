"""Schedules that are as long as the run, and those of a run that is resumed with another one."""

import logging
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner

from mmseq.engine.schedule import Plan, fit, set_length, shorten_warm_up
from mmseq.errors import InputError

WARM_UP = dict(type='LinearLR', start_factor=0.05, by_epoch=False, begin=0, end=50)
POLY = dict(type='PolyLR', eta_min=0.0, power=1.0, by_epoch=False, begin=50, end=400)
STEPS = dict(type='MultiStepLR', by_epoch=True, begin=0, end=12, milestones=[8, 11], gamma=0.1)
COSINE = dict(type='CosineAnnealingLR', T_max=40, by_epoch=False)
FLAT = dict(type='ConstantLR', factor=1.0, by_epoch=False, begin=400, end=800)
NO_END = dict(type='MultiStepLR', by_epoch=True, milestones=[8, 11])


def config(schedulers: Any, **length: int) -> Config:
    return Config(dict(param_scheduler=schedulers, train_cfg=length))


def fitted(schedulers: list, **length: int) -> list[dict]:
    cfg = config(schedulers, **length)
    assert fit(cfg, 'mine.py')
    return [
        {key: one[key] for key in ('begin', 'end', 'T_max', 'milestones') if key in one} for one in cfg.param_scheduler
    ]


def test_a_longer_or_shorter_run_has_its_schedule_in_proportion() -> None:
    assert fitted([WARM_UP, POLY], max_iters=800) == [dict(begin=0, end=100), dict(begin=100, end=800)]
    assert fitted([WARM_UP, POLY], max_iters=40) == [dict(begin=0, end=5), dict(begin=5, end=40)]
    warm_up, steps = fitted([WARM_UP, STEPS], max_epochs=36)
    assert (warm_up, steps) == (dict(begin=0, end=150), dict(begin=0, end=36, milestones=[24, 33]))
    assert fitted([COSINE], max_iters=20) == [dict(T_max=20)]
    # mmengine's PolyLR ends at its end whatever goes before.
    assert fitted([dict(POLY, begin=0)], max_iters=401) == [dict(begin=0, end=401)]


def test_a_warm_up_that_becomes_too_short_is_left_out() -> None:
    cfg = config([WARM_UP, POLY], max_iters=4)
    text = fit(cfg, 'mine.py')
    assert 'param_scheduler ends at 400 and train_cfg.max_iters is 4' in text
    assert '1 warm-up is left out' in text
    assert [(one.type, one.begin, one.end) for one in cfg.param_scheduler] == [('PolyLR', 0, 4)]
    # Down to one iteration it stays a schedule that mmengine builds.
    assert fitted([WARM_UP, POLY], max_iters=1) == [dict(begin=0, end=1)]


@pytest.mark.parametrize(
    ('schedulers', 'length'),
    [
        ([WARM_UP, POLY], dict(max_iters=400)),
        ([WARM_UP, POLY, FLAT], dict(max_iters=800)),
        ([WARM_UP], dict(max_iters=4000)),
        ([WARM_UP], dict(max_epochs=3)),
        ([NO_END], dict(max_epochs=30)),
        ([dict(type='ExponentialLR', gamma=0.9)], dict(max_epochs=3)),
        ([], dict(max_iters=4)),
        ({'one': [COSINE], 'other': [COSINE]}, dict(max_iters=4)),
        ([POLY], {}),
    ],
    ids=['as_it_is', 'flat_tail', 'warm_up', 'warm_up_epochs', 'no_end', 'exponential', 'none', 'several', 'no_length'],
)
def test_what_fits_stays(schedulers: Any, length: dict) -> None:
    cfg = config(schedulers, **length)
    before = cfg.pretty_text
    assert fit(cfg, 'mine.py') is None
    assert cfg.pretty_text == before


def test_milestones_beyond_the_run_without_an_end_are_refused() -> None:
    with pytest.raises(InputError, match=r'param_scheduler.0.milestones=\[8, 11\] and train_cfg.max_epochs=10'):
        fit(config([NO_END], max_epochs=10), 'mine.py')


def test_a_linear_decay_is_no_warm_up() -> None:
    decay = dict(type='LinearLR', start_factor=1.0, end_factor=0.0, by_epoch=False, begin=0, end=400)
    assert fitted([decay], max_iters=100) == [dict(begin=0, end=100)]


def training(schedulers: list, batches: int | None = None, rate: float = 0.1, decay: float = 0.01) -> Runner:
    """A runner with an optimiser and schedulers, and a loop that makes steps of no training."""
    runner = Runner.__new__(Runner)
    runner.logger = logging.getLogger(__name__)
    runner.cfg = config(schedulers)
    parameters = [torch.nn.Parameter(torch.ones(1)) for _ in range(2)]
    groups = [dict(params=parameters[:1]), dict(params=parameters[1:], lr=rate / 10)]
    runner.optim_wrapper = OptimWrapper(torch.optim.SGD(groups, lr=rate, weight_decay=decay))
    kind = EpochBasedTrainLoop if batches else IterBasedTrainLoop
    loop = kind.__new__(kind)
    loop._iter = loop._epoch = 0
    loop._max_iters = loop._max_epochs = 9999
    loop.dataloader = range(batches or 1)
    runner._train_loop = loop
    runner.param_schedulers = runner.build_param_scheduler(runner.cfg.param_scheduler)
    return runner


def train(runner: Runner, until: int) -> list[tuple[float, ...]]:
    """The rates that each iteration up to one would have."""
    rates = []
    loop = runner._train_loop
    while loop._iter < until:
        rates.append(tuple(group['lr'] for group in runner.optim_wrapper.optimizer.param_groups))
        runner.optim_wrapper.step()
        loop._iter += 1
        ended = isinstance(loop, EpochBasedTrainLoop) and loop._iter % len(loop.dataloader) == 0
        loop._epoch += ended
        for one in runner.param_schedulers:
            if not one.by_epoch or ended:
                one.step()
    return rates


def restored(old: Runner, new: Runner) -> Plan:
    """What mmengine makes of a resume, and the plan from before."""
    plan = Plan(new)
    new.optim_wrapper.load_state_dict(old.optim_wrapper.state_dict())
    for scheduler, saved in zip(new.param_schedulers, old.param_schedulers):
        scheduler.load_state_dict(saved.state_dict())
    new._train_loop._iter, new._train_loop._epoch = old._train_loop._iter, old._train_loop._epoch
    return plan


LONGER = [dict(WARM_UP, end=4), dict(POLY, begin=4, end=40)]
SHORT = [dict(WARM_UP, end=2), dict(POLY, begin=2, end=20)]
EPOCHS = [dict(WARM_UP, end=7), dict(STEPS, end=6, milestones=[2, 4])]
COSINES = [dict(WARM_UP, end=7), dict(COSINE, T_max=8, by_epoch=True)]


@pytest.mark.parametrize(
    ('old', 'new', 'batches', 'at'),
    [
        (SHORT, LONGER, None, 20),
        (SHORT, LONGER, None, 13),
        (LONGER, SHORT, None, 11),
        (EPOCHS, COSINES, 5, 15),
        (COSINES, EPOCHS, 5, 13),
        (SHORT, LONGER[1:], None, 10),
    ],
    ids=['longer', 'longer_midway', 'shorter', 'steps_to_cosine', 'cosine_to_steps', 'fewer'],
)
def test_rates_after_a_resume_are_those_of_the_new_schedule(old: list, new: list, batches: int | None, at: int) -> None:
    end = at + 9
    expected = train(training(new, batches), end)[at:]
    before, after = training(old, batches), training(new, batches)
    train(before, at)
    plan = restored(before, after)
    assert plan.differences(after)
    plan.follow(after)
    assert train(after, end) == expected


def test_other_rates_and_decay_are_followed_and_named() -> None:
    before, after = training(SHORT), training(SHORT, rate=0.2, decay=0.05)
    train(before, 9)
    plan = restored(before, after)
    assert {'lr 0.1 -> 0.2', 'weight_decay 0.01 -> 0.05'} <= set(plan.differences(after))
    plan.follow(after)
    assert [group['weight_decay'] for group in after.optim_wrapper.optimizer.param_groups] == [0.05, 0.05]
    assert train(after, 19) == train(training(SHORT, rate=0.2), 19)[9:]


def test_the_same_schedule_is_left_as_it_was_restored() -> None:
    before, after = training(SHORT), training(SHORT)
    train(before, 9)
    assert restored(before, after).differences(after) == []
    assert train(after, 19) == train(training(SHORT), 19)[9:]


def test_a_warm_up_longer_than_the_run_gets_a_tenth_of_it(caplog: pytest.LogCaptureFixture) -> None:
    runner = training(EPOCHS, 5)
    runner._train_loop._max_iters = 30
    shorten_warm_up(runner)
    assert caplog.text == ''
    runner = training([WARM_UP, *EPOCHS[1:]], 5)
    runner._train_loop._max_iters = 30
    shorten_warm_up(runner)
    assert 'warms up for 50 iterations, and the run has 30: its end is set to 3' in caplog.text
    assert train(runner, 30) == train(training([dict(WARM_UP, end=3), *EPOCHS[1:]], 5), 30)


# Of the recipes that own data meet: one step or cosine by epochs, a polynomial by iterations; warm-ups by either.
RECIPES = {
    'steps': ([dict(WARM_UP, end=1000), dict(STEPS)], dict(max_epochs=12)),
    'cosine': ([WARM_UP, dict(COSINE, T_max=8, by_epoch=True, convert_to_iter_based=True)], dict(max_epochs=8)),
    'cosine_by_epochs': ([dict(COSINE, T_max=12, by_epoch=True)], dict(max_epochs=12)),
    'warm_up_in_epochs': (
        [
            dict(WARM_UP, by_epoch=True, end=2, convert_to_iter_based=True),
            dict(COSINE, by_epoch=True, begin=2, T_max=10),
        ],
        dict(max_epochs=12),
    ),
    'late_cosine': (
        [WARM_UP, dict(COSINE, by_epoch=True, begin=6, end=12, T_max=6, convert_to_iter_based=True)],
        dict(max_epochs=12),
    ),
    'no_warm_up': ([NO_END], dict(max_epochs=12)),
    'polynomial': ([dict(WARM_UP, end=1500), dict(POLY, begin=1500, end=160000)], dict(max_iters=160000)),
    'polynomial_alone': ([dict(POLY, begin=0, end=40000)], dict(max_iters=40000)),
    'steps_by_iterations': (
        [dict(STEPS, by_epoch=False, end=3000, milestones=[2000, 2700])],
        dict(max_iters=3000),
    ),
}


def of_length(name: str, iterations: int) -> tuple[Config, int, list[float]]:
    """A recipe as long as that, in epochs of 4 iterations or so, its warm-up, and the rates of the run."""
    schedulers, length = RECIPES[name]
    cfg = config(schedulers, **length)
    batches = 4 if 'max_epochs' in length else None
    warm_up = set_length(cfg, iterations // (batches or 1), iterations)
    assert fit(cfg, 'mine.py') is None
    return cfg, warm_up, [rate for rate, _ in train(training(cfg.param_scheduler, batches), iterations)]


@pytest.mark.parametrize('iterations', [20, 156, 700, 5000])
@pytest.mark.parametrize('name', RECIPES)
def test_a_run_for_few_images_reaches_the_recipes_rate_and_then_falls(name: str, iterations: int) -> None:
    _, warm_up, rates = of_length(name, iterations)
    assert max(rates) == pytest.approx(0.1, rel=1e-9)
    assert warm_up <= iterations / 20
    assert rates.index(max(rates)) <= iterations / 20
    assert rates[-1] < 0.04


def test_a_thousand_iterations_of_warm_up_do_not_eat_a_run_of_156() -> None:
    """As the recipe for COCO did with 13 batches of own data an epoch: it ended at a sixth of its rate."""
    before = [rate for rate, _ in train(training(RECIPES['steps'][0], 13), 156)]
    assert max(before) < 0.03
    _, warm_up, rates = of_length('steps', 156)
    assert warm_up == 7
    assert max(rates) == pytest.approx(0.1)


def test_a_length_leaves_places_within_the_run_where_they_are() -> None:
    cfg, warm_up, _ = of_length('steps', 400)
    assert (warm_up, cfg.train_cfg.max_epochs) == (20, 100)
    assert cfg.param_scheduler[1].milestones == [67, 92]
    cfg, _, rates = of_length('late_cosine', 400)
    assert rates[199] == pytest.approx(0.1)
    assert rates[210] < 0.1
    # A recipe's own warm-up that is shorter stays as long as it is.
    assert of_length('cosine', 4000)[1] == 50


def test_a_schedule_in_parts_of_epochs_goes_along_with_a_run_made_longer() -> None:
    cfg, _, _ = of_length('cosine', 40)
    assert cfg.param_scheduler[1].begin == 0.5
    cfg.train_cfg.max_epochs = 30
    assert fit(cfg, 'mine.py')
    assert cfg.param_scheduler[1].begin == 1.5

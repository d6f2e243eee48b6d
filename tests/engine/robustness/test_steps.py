"""What each evaluation changes in a config, and nothing else."""

from copy import deepcopy
from typing import Any

import pytest
from mmengine.config import Config

from mmseq.engine.own_versions import use_own_versions
from mmseq.engine.robustness import PARTS
from mmseq.engine.robustness.steps import FACTORS, QUICK_IMAGES, Asked, Step, steps_of
from mmseq.errors import InputError
from mmseq.evaluation.corruptions import CORRUPTIONS
from mmseq.evaluation.views import VIEWS

SEG, DET = 'upernet_seq2d_nano_shapes', 'mask_rcnn_seq2d_nano_shapes'


@pytest.fixture(params=[SEG, DET])
def cfg(request: pytest.FixtureRequest, configs: Any) -> Config:
    return use_own_versions(deepcopy(configs[request.param]))


def named(steps: list[Step], part: str) -> dict[str, Step]:
    return {step.name: step for step in steps if step.part == part}


def types(loader: dict[str, Any]) -> list[str]:
    return [step['type'] for step in loader['dataset']['pipeline']]


def test_the_clean_one_is_the_config_itself(cfg: Config) -> None:
    first = steps_of(cfg, Asked())[0]
    assert first.loader(cfg, None) == cfg.test_dataloader
    assert first.evaluator(cfg) == [cfg.test_evaluator]


def test_all_that_is_measured(cfg: Config) -> None:
    before = cfg.to_dict()
    steps = steps_of(cfg, Asked())
    assert len({step.key for step in steps}) == len(steps)
    assert len(named(steps, 'corruptions')) == 5 * len(CORRUPTIONS)
    assert len(named(steps, 'resolution')) == len(FACTORS)
    assert set(named(steps, 'consistency')) == {'plain', *VIEWS}
    assert {step.part for step in steps} == {'clean', *PARTS}
    for step in steps:
        step.loader(cfg, 3)
        step.evaluator(cfg)
    assert cfg.to_dict() == before


def test_parts_that_are_asked_for(cfg: Config) -> None:
    steps = steps_of(cfg, Asked(('calibration',)))
    assert [step.key for step in steps] == ['clean/clean', 'calibration/calibration']
    quick = steps_of(cfg, Asked(quick=True))
    assert 10 < len(quick) < 20
    assert Asked(quick=True).most_images == QUICK_IMAGES
    assert Asked(quick=True, images=7).most_images == 7
    assert Asked().most_images is None


def test_a_corruption_stands_behind_loading(cfg: Config) -> None:
    step = named(steps_of(cfg, Asked(seed=4)), 'corruptions')['fog_2']
    loader = step.loader(cfg, 5)
    clean = types(cfg.test_dataloader)
    assert types(loader) == [clean[0], 'mmseq.Corrupt', *clean[1:]]
    assert loader['dataset']['pipeline'][1] == dict(type='mmseq.Corrupt', name='fog', severity=2, seed=4)
    assert loader['dataset']['indices'] == 5


def test_a_view_is_told_before_packing_and_taken_back(cfg: Config) -> None:
    step = named(steps_of(cfg, Asked()), 'consistency')['turn_90']
    clean = types(cfg.test_dataloader)
    assert types(step.loader(cfg, None)) == [clean[0], 'mmseq.TakeView', *clean[1:-1], 'mmseq.TellViewShape', clean[-1]]
    evaluator = step.evaluator(cfg)
    assert (evaluator['type'], evaluator['view']) == ('mmseq.ViewEvaluator', 'turn_90')
    assert evaluator['metrics'][0] == cfg.test_evaluator


def test_sizes_of_images_change_together(cfg: Config) -> None:
    step = named(steps_of(cfg, Asked()), 'resolution')['0.5']
    resize = step.loader(cfg, None)['dataset']['pipeline'][1]
    assert resize == dict(type='Resize', scale=(80, 80), keep_ratio=True)
    dataset = cfg.test_dataloader.dataset
    dataset.pipeline = [dict(type='LoadImageFromFile'), dict(type='Resize', scale_factor=0.8), dict(type='Pack')]
    assert step.loader(cfg, None)['dataset']['pipeline'][1]['scale_factor'] == pytest.approx(0.4)
    dataset.pipeline = [dict(type='LoadImageFromFile'), dict(type='Pack')]
    added = dict(type='Resize', scale_factor=0.5, keep_ratio=True)
    assert step.loader(cfg, None)['dataset']['pipeline'][1] == added


def test_boxes_have_no_outlines(configs: Any) -> None:
    cfg = use_own_versions(deepcopy(configs[DET]))
    cfg.test_evaluator.metric = 'bbox'
    assert 'boundaries' not in {step.part for step in steps_of(cfg, Asked())}


def test_what_cannot_be_measured(cfg: Config) -> None:
    cfg.test_dataloader.dataset.pipeline = [dict(type='LoadAnnotations'), dict(type='Pack')]
    with pytest.raises(InputError, match=r'test_dataloader.dataset.pipeline has no step that loads an image'):
        Step('clean', 'clean').loader(cfg, None)
    cfg.test_evaluator = dict(type='PanopticMetric')
    with pytest.raises(InputError, match='test_evaluator is PanopticMetric'):
        steps_of(cfg, Asked())

"""An evaluation that cannot be right ends a run before it begins."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.runner import Runner
from PIL import Image

from mmseq.config import load_config
from mmseq.datasets.shapes import generate
from mmseq.engine.hooks import TrialHook
from mmseq.errors import InputError

CONFIGS = Path(__file__).parents[2] / 'configs'
SEG, DET = 'upernet_seq2d_nano_shapes', 'mask_rcnn_seq2d_nano_shapes'
ANNOTATIONS = 'shapes/coco/annotations/instances_{}2017.json'


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Shapes whose sets of training and validation number their images alike."""
    root = tmp_path_factory.mktemp('trial')
    generate(root / 'shapes', train=4, val=6, seed=0)
    path = min((root / 'shapes/ade/ADEChallengeData2016/annotations/validation').iterdir())
    labels = np.asarray(Image.open(path)).copy()
    # Without a class.
    labels[:20] = 0
    Image.fromarray(labels).save(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('MMSEQ_DATA', str(root))
        yield root


@pytest.fixture
def tried(data: Path, tmp_path: Path) -> Callable[..., tuple[Runner, list[str]]]:
    """Builds the validation of a config with options and tries it; gives the runner and the warnings."""

    def trial(name: str, **options: Any) -> tuple[Runner, list[str]]:
        given = {key.replace('__', '.'): value for key, value in options.items()}
        cfg = load_config(str(CONFIGS / f'{name}.py'), given, str(tmp_path))
        cfg.custom_hooks = []
        cfg.visualizer.name = tmp_path.name
        runner, said = Runner.from_cfg(cfg), []
        # The loop is made from what the config says.
        assert runner.val_loop
        runner.logger.warning = lambda text, *args: said.append(text)
        streams, weights = torch.get_rng_state(), [p.clone() for p in runner.model.parameters()]
        TrialHook().before_run(runner)
        assert torch.equal(torch.get_rng_state(), streams)
        assert all(torch.equal(a, b) for a, b in zip(weights, runner.model.parameters()))
        assert all(metric.results == [] for metric in runner.val_loop.evaluator.metrics)
        return runner, said

    return trial


def changed(data: Path, tmp_path: Path, change: Callable[[dict], Any]) -> str:
    """The validation annotations with a change, in a file of their own."""
    content = json.loads((data / ANNOTATIONS.format('val')).read_text())
    change(content)
    path = tmp_path / 'changed.json'
    path.write_text(json.dumps(content))
    return str(path)


@pytest.mark.parametrize('name', [SEG, DET])
def test_sound_evaluations_are_let_pass(tried: Callable, name: str) -> None:
    _, said = tried(name)
    assert said == []


def test_a_metric_with_the_file_of_other_images(tried: Callable, data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r'val_dataloader and val_evaluator\.ann_file are of different images'):
        tried(DET, val_evaluator__ann_file=str(data / ANNOTATIONS.format('train')))

    def renumber(content: dict) -> None:
        for row in content['images']:
            row['id'] += 100
        for row in content['annotations']:
            row['image_id'] += 100

    with pytest.raises(InputError, match='6 of 6 are not in the file of the metric'):
        tried(DET, val_evaluator__ann_file=changed(data, tmp_path, renumber))


def test_a_metric_with_the_same_images_and_other_objects(tried: Callable, data: Path, tmp_path: Path) -> None:
    def move(content: dict) -> None:
        for row in content['annotations']:
            row['bbox'][0] += row['bbox'][2]

    with pytest.raises(InputError, match=r'given as prediction, has bbox_mAP=0\.\d+ where 1 is due'):
        tried(DET, val_evaluator__ann_file=changed(data, tmp_path, move))

    def lose(content: dict) -> None:
        content['annotations'] = content['annotations'][1::2] * 1

    _, said = tried(DET, val_evaluator__ann_file=changed(data, tmp_path, lose))
    assert len(said) == 1
    assert 'objects in them and the file of the metric' in said[0]


def test_some_of_the_images_are_evaluated_alone(tried: Callable) -> None:
    runner, said = tried(DET, val_dataloader__dataset__indices=2)
    assert 'has 2 of the 6 images of the metric' in said[0]
    dataset, metric = runner.val_loop.dataloader.dataset, runner.val_loop.evaluator.metrics[0]
    assert metric.img_ids == [dataset.get_data_info(index)['img_id'] for index in range(2)]


def test_an_evaluation_that_fails(tried: Callable, data: Path, tmp_path: Path) -> None:
    def name(content: dict) -> None:
        for row in content['annotations']:
            row['id'] = f'object {row["id"]}'

    path = changed(data, tmp_path, name)
    with pytest.raises(InputError, match='given as prediction, fails'):
        tried(DET, val_evaluator__ann_file=path)


@pytest.mark.parametrize(
    'options, said',
    [
        (
            dict(val_dataloader__batch_size=6, val_dataloader__dataset__pipeline__1__scale=(9, 7)),
            'should be the same',
        ),
        (dict(val_dataloader__dataset__reduce_zero_label=False), 'its first batch of 1 fails: AssertionError'),
        (dict(val_evaluator__ignore_index=3), 'mIoU=.*, not 100'),
    ],
)
def test_a_batch_of_a_segmentor(tried: Callable, options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        tried(SEG, **options)


def test_labels_before_resizing(tried: Callable) -> None:
    steps = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', reduce_zero_label=True)]
    steps += [dict(type='Resize', scale=(80, 80)), dict(type='PackSegInputs')]
    with pytest.raises(InputError, match='put LoadAnnotations behind Resize'):
        tried(SEG, val_dataloader__dataset__pipeline=steps)

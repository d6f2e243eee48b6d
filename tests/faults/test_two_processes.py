"""One process or several: the same losses, the same weights, and no hang."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from tests.faults.toys import recorded
from tests.nursery import Nursery

CONFIGS = Path(__file__).parent / 'configs'


@pytest.mark.parametrize('task', ['seg', 'det'])
def test_one_process_with_batch_4_equals_two_with_batch_2(task: str, nursery: Nursery, tmp_path: Path) -> None:
    command = [CONFIGS / f'equal_{task}.py', '--no-data-check', '--cfg-options']
    nursery.train(*command, 'train_dataloader.batch_size=4', '--work-dir', tmp_path / 'one', log=tmp_path / 'log')
    two = ['train_dataloader.batch_size=2', '--work-dir', tmp_path / 'two']
    nursery.train(*command, *two, processes=2, log=tmp_path / 'log')
    one = recorded(tmp_path / 'one')
    ranks = [dict(recorded(tmp_path / 'two', rank)) for rank in range(2)]
    assert len(one) == 4
    # Different images on the two processes, or the mean would prove nothing.
    assert ranks[0] != ranks[1]
    for iteration, loss in one:
        assert (ranks[0][iteration] + ranks[1][iteration]) / 2 == pytest.approx(loss, rel=2e-5)


@pytest.mark.parametrize('processes', [1, 2])
def test_deterministic_runs_end_with_the_same_file(processes: int, nursery: Nursery, tmp_path: Path) -> None:
    digests = []
    # Another seed shows that the digest can differ; once is enough.
    for seed, name in ((1, 'a'), (1, 'b'), (2, 'c'))[: 4 - processes]:
        options = ['--seed', seed, '--deterministic', '--work-dir', tmp_path / name, '--no-data-check']
        few = ['--cfg-options', 'train_cfg.max_iters=3', 'model.backbone.drop_path_rate=0.3']
        log = tmp_path / name
        nursery.train(CONFIGS / 'equal_seg.py', *options, *few, processes=processes, log=log.with_suffix('.log'))
        file = tmp_path / name / 'final_weights.safetensors'
        digests.append(hashlib.sha256(file.read_bytes()).hexdigest())
        first = log.with_suffix('.log' if processes == 1 else '.log.0')
        assert f'sha256 {digests[-1]}' in first.read_text()
    assert digests[0] == digests[1]
    assert len(set(digests)) == len(digests) - 1


def test_empty_images_and_an_odd_number_of_them_do_not_hang(shapes: Path, nursery: Nursery, tmp_path: Path) -> None:
    shutil.copytree(shapes, tmp_path / 'data')
    (annotations,) = (tmp_path / 'data').rglob('instances_train2017.json')
    content = json.loads(annotations.read_text())
    content['images'] = content['images'][:7]
    only = content['images'][0]['id']
    content['annotations'] = [annotation for annotation in content['annotations'] if annotation['image_id'] == only]
    annotations.write_text(json.dumps(content))
    options = ['train_cfg.max_epochs=1', 'train_dataloader.dataset.filter_cfg.filter_empty_gt=False']
    nursery.train(
        CONFIGS / 'equal_det.py',
        '--no-data-check',
        '--work-dir',
        tmp_path / 'run',
        '--cfg-options',
        *options,
        'train_dataloader.dataset.filter_cfg.min_size=0',
        processes=2,
        log=tmp_path / 'log',
        MMSEQ_DATA=tmp_path / 'data',
    )
    assert [len(recorded(tmp_path / 'run', rank)) for rank in range(2)] == [2, 2]


@pytest.mark.parametrize('length', [7, 5])
def test_uneven_shares_end_or_are_refused(length: int, nursery: Nursery, tmp_path: Path) -> None:
    command = [CONFIGS / 'toy_epochs.py', '--work-dir', tmp_path / 'run', '--no-data-check', '--cfg-options']
    uneven = [f'train_dataloader.dataset.length={length}', 'train_dataloader.sampler.round_up=False']
    few = ['train_cfg.max_epochs=1', '--launcher', 'pytorch']
    pids = nursery.start_all(2, *command, *uneven, *few, log=tmp_path / 'log')
    statuses = [nursery.wait(pid, 60) for pid in pids]
    output = (tmp_path / 'log.0').read_text()
    if length == 7:
        # Four and three samples: two batches each, the last of one sample in one process.
        assert statuses == [0, 0], output[-2000:]
    else:
        assert statuses == [2, 2]
        assert 'error: train_dataloader: the processes have different numbers of batches (process 0: 2, pro' in output
        assert 'round_up=True' in output

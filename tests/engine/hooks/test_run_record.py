"""A resume follows the config or is refused; what is another than in the checkpoint is named."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from mmseq.checkpoints.storage import load_meta
from mmseq.engine.hooks.run_record import changes, check_classes, check_optimizer
from mmseq.errors import InputError
from tests.faults.toys import recorded
from tests.nursery import Nursery

CONFIGS = Path(__file__).parents[2] / 'faults' / 'configs'
KEEP = 'default_hooks.checkpoint.max_keep_ckpts=9'


def command(work_dir: Path, *options: str, config: str | Path = 'toy.py', length: int = 12) -> list:
    """A training of the toy."""
    key = 'max_epochs' if 'epochs' in str(config) else 'max_iters'
    return [
        CONFIGS / config,
        '--work-dir',
        work_dir,
        '--no-data-check',
        '--cfg-options',
        KEEP,
        f'train_cfg.{key}={length}',
        *options,
    ]


def rates(work_dir: Path) -> dict[int, float]:
    """The learning rate of every iteration that the newest start logged."""
    newest = max(work_dir.glob('*/vis_data/scalars.json'))
    lines = [json.loads(line) for line in newest.read_text().splitlines()]
    return {line['iter']: line['lr'] for line in lines if 'loss' in line}


def forget(work_dir: Path) -> None:
    """Remove what the starts so far have recorded: two starts within one second write to one folder."""
    for path in [*work_dir.glob('losses.*'), *work_dir.glob('2*')]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.fixture(scope='module')
def trained(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of 12 iterations, with checkpoints at 4, 8 and 12."""
    folder = tmp_path_factory.mktemp('trained')
    nursery.train(*command(folder / 'run'), log=folder / 'log')
    return folder / 'run'


@pytest.fixture
def copy(trained: Path, tmp_path: Path) -> Path:
    """A copy of that run, without the times of its files and without what they have recorded."""
    shutil.copytree(trained, tmp_path / 'run', copy_function=shutil.copyfile)
    forget(tmp_path / 'run')
    return tmp_path / 'run'


def resumed(nursery: Nursery, work_dir: Path, *arguments: Any, status: int = 0) -> str:
    """The warnings about a resume, or the error that it ended in."""
    log = work_dir.parent / 'resumed.log'
    pid = nursery.start(*arguments, '--resume', log=log)
    assert nursery.wait(pid) == status, log.read_text()[-3000:]
    assert 'Traceback' not in log.read_text()
    return '\n'.join(line for line in log.read_text().splitlines() if ' resume: ' in line or line.startswith('error: '))


def test_a_longer_run_has_the_rates_of_one_that_was_as_long_from_the_beginning(
    nursery: Nursery, copy: Path, tmp_path: Path
) -> None:
    said = resumed(nursery, copy, *command(copy, length=24))
    assert 'CosineAnnealingLR.T_max 12 -> 24' in said
    assert 'the rate after iteration 12 is 0.005, not' in said
    nursery.train(*command(tmp_path / 'whole', length=24), log=tmp_path / 'log')
    whole = rates(tmp_path / 'whole')
    assert rates(copy) == {step: whole[step] for step in range(13, 25)}
    # One that is resumed once more has nothing to say but that.
    assert 'finished, at iteration 24 of 24; nothing is trained' in resumed(nursery, copy, *command(copy, length=24))


def test_what_a_copy_replaces_is_its_own(nursery: Nursery, trained: Path, copy: Path) -> None:
    before = {path: path.read_bytes() for path in trained.rglob('*') if path.is_file()}
    run = load_meta(trained / 'iter_12.pth')['run']['id']
    resumed(nursery, copy, *command(copy, 'default_hooks.checkpoint.max_keep_ckpts=1', length=24))
    assert {path: path.read_bytes() for path in trained.rglob('*') if path.is_file()} == before
    assert [path.name for path in copy.glob('iter_*.pth')] == ['iter_24.pth']
    assert len(list(copy.glob('best_*.pth'))) == 1
    assert load_meta(copy / 'iter_24.pth')['run']['id'] == run
    assert [step for step, _ in recorded(copy)] == list(range(12, 24))


def test_another_rate_and_batch_are_followed_and_said(nursery: Nursery, copy: Path) -> None:
    options = ['optim_wrapper.optimizer.lr=0.02', 'train_dataloader.batch_size=5', 'param_scheduler.0.T_max=20']
    said = resumed(nursery, copy, *command(copy, *options, length=20))
    assert 'lr 0.01 -> 0.02' in said
    assert 'train_dataloader.batch_size=5, not 2 as in the checkpoint' in said
    assert 'effective batch 5, it was 2; the learning rate stays what the config says' in said
    assert list(rates(copy)) == list(range(13, 21))


@pytest.mark.parametrize(
    ('options', 'seed', 'message'),
    [
        (['optim_wrapper.optimizer.type=SGD'], [], 'trained with AdamW, the config has SGD'),
        ([], ['--seed', '5'], '--seed 5: the run that is resumed has seed 0; leave --seed out'),
    ],
)
def test_what_is_refused(options: list, seed: list, message: str, nursery: Nursery, copy: Path) -> None:
    arguments = command(copy, *options, length=24)
    assert message in resumed(nursery, copy, arguments[0], *seed, *arguments[1:], status=2)
    assert recorded(copy) == []


def test_an_average_is_not_taken_for_the_weights(nursery: Nursery, copy: Path, tmp_path: Path) -> None:
    plain = tmp_path / 'plain.py'
    plain.write_text(f"_base_ = '{CONFIGS / 'toy.py'}'\ncustom_hooks = [dict(type='LossRecorder')]\n")
    assert 'give --ema again' in resumed(nursery, copy, *command(copy, config=plain, length=24), status=2)


def test_epochs_of_another_length_are_counted_anew(nursery: Nursery, tmp_path: Path) -> None:
    run = tmp_path / 'run'
    options = ['default_hooks.checkpoint.by_epoch=True', 'default_hooks.checkpoint.interval=1']
    nursery.train(*command(run, *options, config='toy_epochs.py', length=2), log=tmp_path / 'log')
    forget(run)
    # Five batches of two become two of five.
    wider = [*options, 'train_dataloader.batch_size=5']
    said = resumed(nursery, run, *command(run, *wider, config='toy_epochs.py', length=4))
    assert 'an epoch has 2 iterations, not 5 as in the checkpoint: epoch 2 ended at iteration 4' in said
    assert list(rates(run)) == [5, 6, 7, 8]


def state(*sizes: int) -> list[dict]:
    return [dict(params=list(range(size))) for size in sizes]


@pytest.mark.parametrize(('frozen', 'cause'), [(2, r' \(model.backbone.frozen_stages=-1 then, 2 now\)'), (-1, '')])
def test_other_trained_parameters_are_refused(frozen: int, cause: str) -> None:
    optimizer = SimpleNamespace(param_groups=state(3, 2))
    runner = SimpleNamespace(
        optim_wrapper=SimpleNamespace(optimizer=optimizer),
        cfg=SimpleNamespace(model=dict(backbone=dict(frozen_stages=frozen))),
    )
    check_optimizer(runner, dict(param_groups=state(3, 2)), {})
    message = f'trained 9 tensors in 2 groups, and the config trains 5 in 2{cause}: change back'
    with pytest.raises(InputError, match=message):
        check_optimizer(runner, dict(param_groups=state(3, 6)), dict(optimizer='SimpleNamespace', frozen_stages=-1))
    # A checkpoint without a record of ours.
    with pytest.raises(InputError, match='trained 9 tensors in 2 groups, and the config trains 5 in 2: change back'):
        check_optimizer(runner, dict(param_groups=state(3, 6)), {})


@pytest.mark.parametrize(
    ('before', 'message'),
    [
        (('tri', 'box'), "2 classes and the data set 2; class 0 is 'tri' in the checkpoint and 'box' in the data"),
        (('box',), "1 classes and the data set 2; class 1 is None in the checkpoint and 'tri' in the data"),
    ],
)
def test_other_classes_are_refused(before: tuple, message: str) -> None:
    dataset = SimpleNamespace(metainfo=dict(classes=['box', 'tri']))
    runner = SimpleNamespace(train_dataloader=SimpleNamespace(dataset=dataset))
    with pytest.raises(InputError, match=message):
        check_classes(runner, dict(classes=before))
    check_classes(runner, dict(classes=('box', 'tri')))
    check_classes(runner, None)


def test_records_name_what_is_another() -> None:
    before = dict(processes=2, batch_size=4, accumulated=1, samples=9, data='a', average=None)
    now = before | dict(processes=1, batch_size=8, samples=8)
    assert changes(before, before) == changes({}, now) == []
    assert changes(before, now) == [
        '1 processes, not 2 as in the checkpoint',
        'train_dataloader.batch_size=8, not 4 as in the checkpoint',
        '8 training samples, not 9 as in the checkpoint',
        'effective batch 8, it was 8',
    ]


def test_a_checkpoint_says_what_it_is(trained: Path) -> None:
    meta = load_meta(trained / 'iter_12.pth')
    assert (meta['iter'], meta['run']['batch_size'], meta['run']['optimizer']) == (12, 2, 'AdamW')
    assert meta['run']['average']['momentum'] == 0.1
    assert torch.load(trained / 'iter_12.pth', weights_only=True)['meta']['run'] == meta['run']

"""Numbers that are not finite: no step is taken, the module is named, the run stops in all processes."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.dataset import DefaultSampler
from mmengine.hooks import CheckpointHook, LoggerHook
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.utils.data import Dataset

from mmseq.engine.hooks import BadNumbersHook
from mmseq.errors import InputError
from tests.nursery import Nursery


class Numbers(Dataset):
    metainfo = {}

    def __len__(self) -> int:
        return 400

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {'inputs': torch.tensor([1.0, index / 400])}


class Root(nn.Module):
    """Finite at 0, where its gradient is not."""

    def forward(self, x: Tensor) -> Tensor:
        return (x * 0).sqrt()


class Net(BaseModel):
    """Goes wrong in the iterations and the way it is told."""

    def __init__(self, bad: dict[int, str], only_rank: int | None = None) -> None:
        super().__init__()
        self.stem = nn.Linear(2, 4)
        self.norm = nn.BatchNorm1d(4)
        self.middle = nn.Linear(4, 4)
        self.root = Root()
        self.head = nn.Linear(4, 1)
        self.bad, self.only_rank, self.calls = bad, only_rank, 0

    def forward(self, inputs: Tensor, mode: str = 'tensor') -> dict[str, Tensor]:
        from mmengine.dist import get_rank

        # As drop path does: repeating the pass draws again.
        x = torch.stack(list(inputs)) + 0 * torch.rand(())
        kind = self.bad.get(self.calls, '') if self.only_rank in (None, get_rank()) else ''
        if kind == 'stem':
            x = x * 1e38
        x = self.norm(self.stem(x * (1e10 if kind == 'stem' else 1)))
        x = self.middle(x)
        if kind == 'gradient':
            x = x + self.root(x)
        loss = self.head(x).square().mean()
        if kind == 'loss':
            # Its gradient is 0: only the loss tells.
            loss = loss + torch.tensor(float('inf'))
        if kind == 'spike':
            loss = loss * 1000
        return {'loss': loss, 'accuracy': torch.tensor(float('nan'))}


class Stepper(Net):
    """Trains in a way of its own, which does not call ``forward(mode='loss')``."""

    def train_step(self, data: dict[str, Tensor], optim_wrapper: OptimWrapper) -> dict[str, Tensor]:
        loss = self(self.data_preprocessor(data, True)['inputs'])['loss']
        optim_wrapper.update_params(loss)
        return {'loss': loss}


class Judge(BadNumbersHook):
    """The hook, with what it says and the weights after each iteration on record."""

    def __init__(self, **options) -> None:
        super().__init__(**options)
        self.said: list[str] = []
        self.states: list[dict[str, Tensor]] = []

    def before_train(self, runner: Runner) -> None:
        super().before_train(runner)
        runner.logger.warning = lambda text: self.said.append(text) if text.startswith('iteration') else None

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch=None) -> None:
        super().before_train_iter(runner, batch_idx, data_batch)
        self._model.calls = runner.iter + 1

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        try:
            super().after_train_iter(runner, batch_idx, data_batch, outputs)
        finally:
            self.states.append({key: value.clone() for key, value in self._model.state_dict().items()})


def train(
    work_dir: Path, model: Net, hook: BadNumbersHook, iterations: int, built: OptimWrapper | None = None, **wrapper
) -> Runner:
    runner = Runner(
        model=model,
        work_dir=str(work_dir),
        train_dataloader=dict(
            dataset=Numbers(), sampler=dict(type=DefaultSampler, shuffle=False), batch_size=4, num_workers=0
        ),
        train_cfg=dict(by_epoch=False, max_iters=iterations),
        optim_wrapper=built or dict(optimizer=dict(type=torch.optim.AdamW, lr=0.01), **wrapper),
        default_hooks=dict(checkpoint=dict(type=CheckpointHook, interval=10**6), logger=dict(type=LoggerHook)),
        custom_hooks=[hook],
        randomness=dict(seed=0),
        experiment_name=f'{work_dir.name}{id(model)}',
        log_level='ERROR',
        launcher=os.environ.get('TEST_LAUNCHER', 'none'),
        env_cfg=dict(dist_cfg=dict(backend='gloo')),
        cfg=dict(model_wrapper_cfg=dict(type='MMDistributedDataParallel', device_ids=None)),
    )
    runner.train()
    return runner


WRAPPERS = {'plain': {}, 'clipped': dict(clip_grad=dict(max_norm=1.0))}


@pytest.mark.parametrize('wrapper', WRAPPERS)
@pytest.mark.parametrize(
    'kind, named',
    [
        ('stem', 'output is not finite is stem (Linear)'),
        ('loss', 'output is not finite is the model (Net)'),
        ('gradient', 'the first gradient that is not is that of the output of middle (Linear)'),
    ],
)
def test_the_step_is_left_out_and_the_module_named(tmp_path: Path, kind: str, named: str, wrapper: str) -> None:
    hook = Judge()
    model = Net({3: kind})
    runner = train(tmp_path, model, hook, 5, **WRAPPERS[wrapper])
    (said,) = hook.said
    assert said.startswith('iteration 3: not finite, the step is left out')
    assert named in said
    before, bad, after = hook.states[1:4]
    assert all(torch.equal(before[key], bad[key]) for key in before)
    assert not torch.equal(bad['head.weight'], after['head.weight'])
    assert all(torch.isfinite(value).all() for value in after.values())
    # Four steps out of five, in the optimiser as well.
    states = runner.optim_wrapper.optimizer.state.values()
    assert {int(state['step']) for state in states} == {4}


def test_the_step_is_left_out_of_a_training_in_a_way_of_its_own(tmp_path: Path) -> None:
    hook = Judge()
    train(tmp_path, Stepper({3: 'stem'}), hook, 4)
    (said,) = hook.said
    assert said.startswith('iteration 3: not finite, the step is left out')
    assert "does not call forward(mode='loss')" in said
    assert not (tmp_path / 'bad_numbers').exists()


def test_the_random_state_is_that_of_a_run_without_a_fault(tmp_path: Path) -> None:
    drawn = []
    for bad in ({}, {2: 'stem'}):
        train(tmp_path, Net(bad), Judge(), 3)
        drawn.append(torch.rand(3))
    assert torch.equal(*drawn)


def test_some_in_a_row_end_the_run(tmp_path: Path) -> None:
    model, hook = Net({2: 'stem', 4: 'stem', 5: 'stem', 6: 'stem', 7: 'stem'}), Judge(stop_after=3)
    with pytest.raises(InputError, match=r'^iteration 6: .*stem \(Linear\); that is 3 in a row') as error:
        train(tmp_path, model, hook, 9)
    assert '\n' not in str(error.value)
    assert len(hook.said) == 4
    # One snapshot for each row of bad iterations.
    assert sorted(path.name for path in (tmp_path / 'bad_numbers').iterdir()) == [
        'iter_2_rank0.pth',
        'iter_4_rank0.pth',
    ]


def test_the_snapshot_repeats_the_iteration(tmp_path: Path) -> None:
    train(tmp_path, Net({2: 'stem'}), Judge(), 3)
    saved = torch.load(tmp_path / 'bad_numbers' / 'iter_2_rank0.pth', weights_only=True)
    assert saved['iteration'] == 2
    assert 'stem' in saved['cause']
    assert torch.equal(
        torch.stack(saved['batch'][-1]['inputs']), torch.stack([Numbers()[k]['inputs'] for k in range(4, 8)])
    )
    again = Net({0: 'stem'})
    again.load_state_dict(saved['state_dict'])
    torch.set_rng_state(saved['random']['torch'])
    assert not torch.isfinite(again(saved['batch'][-1]['inputs'], mode='loss')['loss'])


def test_poisoned_weights_are_named(tmp_path: Path) -> None:
    model = Net({})
    model.middle.weight.data[0, 0] = float('nan')
    hook = Judge(stop_after=1)
    with pytest.raises(InputError, match='the weight middle.weight'):
        train(tmp_path, model, hook, 2)


def test_spikes_are_told_once(tmp_path: Path) -> None:
    hook = Judge(window=30)
    train(tmp_path, Net({40: 'spike', 41: 'spike', 90: 'spike'}), hook, 95)
    assert [said.split(':')[0] for said in hook.said] == ['iteration 40', 'iteration 90']
    assert 'loss spike' in hook.said[0]


def test_normal_training_is_left_alone(tmp_path: Path) -> None:
    weights = []
    for hooks in (Judge(), Judge(spike=None)):
        runner = train(tmp_path, Net({}), hooks, 5)
        weights.append(runner.model.state_dict())
        assert hooks.said == []
        assert not runner.model._forward_hooks
        assert not runner.model._forward_pre_hooks
    assert not (tmp_path / 'bad_numbers').exists()


def test_one_bad_batch_among_gathered_gradients(tmp_path: Path) -> None:
    hook = Judge()
    train(tmp_path, Net({5: 'loss'}), hook, 8, accumulative_counts=4)
    assert len(hook.said) == 1
    assert hook.said[0].startswith('iteration 8: not finite')
    assert torch.equal(hook.states[7]['head.weight'], hook.states[3]['head.weight'])


class Scaler:
    """What AmpOptimWrapper's loss scaler says: here, overflow at each of these scales."""

    def __init__(self, scales: list[float]) -> None:
        self.scales = scales

    def get_scale(self) -> float:
        return self.scales.pop(0)


@pytest.mark.parametrize(
    'before, after, bad_loss, failure',
    [
        (65536.0, 32768.0, False, False),
        (2.0, 1.0, False, False),
        (1.0, 0.5, False, True),
        (512.0, 512.0, False, True),
        (65536.0, 32768.0, True, True),
    ],
)
def test_overflow_is_told_apart(tmp_path: Path, before: float, after: float, bad_loss: bool, failure: bool) -> None:
    """The scaler leaves the step out by itself, so the optimiser is never asked."""

    class Overflowing(OptimWrapper):
        loss_scaler = Scaler([before, after, after, after])

        def step(self, **options) -> None:
            pass

    model = Net({1: 'loss'} if bad_loss else {})
    hook = Judge(stop_after=1)
    wrapper = Overflowing(torch.optim.SGD(model.parameters(), lr=0.1))
    infos: list[str] = []
    runner = SimpleNamespace(
        model=model,
        optim_wrapper=wrapper,
        iter=0,
        work_dir=str(tmp_path),
        logger=SimpleNamespace(warning=infos.append, info=infos.append),
        message_hub=SimpleNamespace(
            update_scalar=lambda *args: None, get_scalar=lambda key: SimpleNamespace(current=lambda: 1.0)
        ),
    )
    hook.before_train(runner)
    hook.before_train_iter(runner, 0)
    outputs = model.train_step({'inputs': [torch.ones(2), torch.zeros(2)]}, wrapper)
    if failure:
        with pytest.raises(InputError, match='1 in a row'):
            hook.after_train_iter(runner, 0, outputs=outputs)
    else:
        hook.after_train_iter(runner, 0, outputs=outputs)
        assert hook.overflows == 1
        assert f'falls from {before:g} to {after:g}' in infos[-1]


class Scaled(OptimWrapper):
    """mmengine's AmpOptimWrapper wants a GPU; the scaler is torch's own."""

    def __init__(self, optimizer: torch.optim.Optimizer, scale: float) -> None:
        super().__init__(optimizer)
        self.loss_scaler = torch.amp.GradScaler('cpu', init_scale=scale)

    def backward(self, loss: Tensor, **options) -> None:
        self.loss_scaler.scale(loss).backward()
        self._inner_count += 1

    def step(self, **options) -> None:
        self.loss_scaler.step(self.optimizer)
        self.loss_scaler.update()


def test_a_real_scaler_finds_its_scale(tmp_path: Path) -> None:
    """A scale that overflows float32 comes down by halves, and nothing is called a failure."""
    model = Net({})
    with torch.no_grad():
        model.head.weight.mul_(100)
    hook = Judge(stop_after=1)
    wrapper = Scaled(torch.optim.SGD(model.parameters(), lr=1e-9), 3e38)
    train(tmp_path, model, hook, 40, built=wrapper)
    assert hook.said == []
    assert 0 < hook.overflows < 40
    assert wrapper.loss_scaler.get_scale() == pytest.approx(3e38 / 2**hook.overflows)


def test_a_real_scaler_cannot_mend_a_gradient(tmp_path: Path) -> None:
    model = Net({3: 'gradient', 4: 'gradient', 5: 'gradient', 6: 'gradient', 7: 'gradient'})
    hook = Judge(stop_after=2)
    wrapper = Scaled(torch.optim.SGD(model.parameters(), lr=1e-3), 4.0)
    with pytest.raises(InputError, match='that is 2 in a row') as error:
        train(tmp_path, model, hook, 9, built=wrapper)
    # 4 and 2 may be too high, 1 is no scale.
    assert str(error.value).startswith('iteration 6: ')
    assert 'middle (Linear)' in str(error.value)
    assert hook.overflows == 2


def test_all_processes_decide_alike(nursery: Nursery, tmp_path: Path) -> None:
    """The loss of one rank alone is not finite, its gradients are: nobody steps, and both end."""
    code = """
import sys
from pathlib import Path
import torch
torch.distributed.init_process_group('gloo')
from mmengine.dist import get_rank
from tests.engine.hooks.test_bad_numbers import Judge, Net, train
from mmseq.engine.processes import leave_group
from mmseq.errors import InputError
hook = Judge(stop_after=2)
try:
    train(Path('out'), Net({2: 'loss', 4: 'loss', 5: 'loss'}, only_rank=1), hook, 9)
except InputError as error:
    same = all(torch.equal(hook.states[0][key], hook.states[1][key]) for key in hook.states[0])
    open('rank%d.txt' % get_rank(), 'w').write(f'{same} {len(hook.states)} {error}')
leave_group()
"""
    (tmp_path / 'worker.py').write_text(code)
    environment = dict(TEST_LAUNCHER='pytorch', CUDA_VISIBLE_DEVICES='')
    nursery.run(script=tmp_path / 'worker.py', processes=2, cwd=tmp_path, log=tmp_path / 'log', **environment)
    for rank in range(2):
        text = (tmp_path / f'rank{rank}.txt').read_text()
        assert text.startswith('True 5 iteration 5: ')
        assert 'rank 1: the first module whose output is not finite is the model' in text
        assert 'rank 0' not in text

"""Operators without a deterministic form are named once, and do not end a run on a GPU."""

import logging
import warnings
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from mmseq.engine.hooks import DeterminismHook

TEXT = (
    "{} does not have a deterministic implementation, but you set 'torch.use_deterministic_algorithms(True, "
    "warn_only=True)'. You can file an issue"
)


@pytest.fixture
def runner():
    yield SimpleNamespace(model=nn.Linear(2, 2), logger=logging.getLogger('determinism'))
    torch.use_deterministic_algorithms(False)


def test_each_operator_is_named_once_and_all_of_them_at_the_end(runner, caplog):
    hook, show = DeterminismHook(), warnings.showwarning
    with warnings.catch_warnings():
        warnings.simplefilter('always')
        hook.before_run(runner)
        for name in ('upsample_bilinear2d_backward_out_cuda', 'roi_align', 'roi_align'):
            warnings.warn(TEXT.format(name), stacklevel=1)
        hook.after_run(runner)
    assert warnings.showwarning is show
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 3
    assert lines[0].startswith('--deterministic: upsample_bilinear2d_backward_out_cuda has no deterministic form')
    assert lines[2].endswith('other bits, because of upsample_bilinear2d_backward_out_cuda, roi_align')


def test_other_warnings_go_where_they_went(runner):
    hook, seen = DeterminismHook(), []
    with warnings.catch_warnings():
        warnings.simplefilter('always')
        warnings.showwarning = lambda message, *_, **__: seen.append(str(message))
        hook.before_run(runner)
        warnings.warn('something else', stacklevel=1)
        hook.after_run(runner)
    assert seen == ['something else']
    assert hook.operators == []


def test_on_the_cpu_such_an_operator_ends_the_run(runner):
    DeterminismHook().before_run(runner)
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.is_deterministic_algorithms_warn_only_enabled()


def test_on_other_devices_it_is_a_warning(runner):
    runner.model = nn.Linear(2, 2, device='meta')
    DeterminismHook().before_run(runner)
    assert torch.is_deterministic_algorithms_warn_only_enabled()

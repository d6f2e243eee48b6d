"""A run keeps its memory until there is little left."""

from types import SimpleNamespace

import pytest
import torch

from mmseq.compat import allocator
from mmseq.config import read_model_config
from mmseq.engine import launch
from mmseq.engine.hooks import KeptMemoryHook
from mmseq.engine.settings import Settings
from mmseq.engine.terminal import Terminal

CONFIG = 'configs/upernet_seq2d_nano_shapes.py'


def test_memory_is_given_back_once(monkeypatch: pytest.MonkeyPatch) -> None:
    said, short, released = [], [False, True, True], []
    monkeypatch.setattr(allocator, '_kept', True)
    monkeypatch.setattr(allocator, 'is_short', lambda: short.pop(0))
    monkeypatch.setattr(allocator, '_set', lambda wishes: not released.append(len(short)))
    hook, runner = KeptMemoryHook(), SimpleNamespace(logger=SimpleNamespace(warning=said.append))
    for call in (hook.after_train_iter, hook.after_val_iter, hook.after_test_iter):
        call(runner, 0)
    assert released == [1]
    assert [text.split(':')[0] for text in said] == ['memory is short']


@pytest.mark.skipif(torch.cuda.is_available(), reason='with a GPU tensors lie elsewhere')
def test_runs_look(tmp_path) -> None:
    given = Settings('training', CONFIG, work_dir=str(tmp_path))
    runner = launch.build_runner(launch.edited(read_model_config(CONFIG, {}), given)[0], Terminal())
    assert any(isinstance(hook, KeptMemoryHook) for hook in runner.hooks)

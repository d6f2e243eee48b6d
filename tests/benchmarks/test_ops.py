"""The benchmark of operators measures all of them, and its contenders compute the same."""

import importlib
import sys
from pathlib import Path

import pytest
import torch

from mmseq import ops

BENCHMARKS = Path(__file__).parents[2] / 'benchmarks'


@pytest.fixture
def bench(monkeypatch):
    # Scripts of this folder import each other by their names.
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield importlib.import_module('ops')
    for name in ('ops', 'peers', 'gpu_mlstm', 'precision'):
        sys.modules.pop(name, None)


def test_every_operator_is_measured(bench):
    # Resampling is two products with a matrix and has no backends.
    assert set(bench.OPERATORS) == set(ops.__all__) - {'use', 'resample2d'}


def test_sequences_are_those_of_nn_lstm(bench):
    torch.manual_seed(0)
    found, judge = bench.bilstm1d(3, 8, 4, 'cpu')
    errors = bench.gate(found, judge)
    assert set(errors) == {'native', 'nn.LSTM'}
    assert max(errors.values()) <= bench.TOLERANCE


def test_results_are_compared_without_tf32(bench, monkeypatch):
    """torch's default lets cuDNN round recurrences, and no backend would pass on a GPU that does so."""
    seen = []
    monkeypatch.setattr(bench, 'answers', lambda *_: seen.append(torch.backends.cudnn.allow_tf32) or [torch.ones(1)])
    bench.gate({'one': None}, None)
    assert seen == [False, False]
    assert torch.backends.cudnn.allow_tf32

"""Who chooses a backend, and what the log says of it."""

import importlib
import sys

import pytest
import torch

from mmseq import ops
from mmseq.errors import InputError
from mmseq.ops import dispatch

CHOOSING = [name for name in ops.__all__ if name not in ('use', 'resample2d')]


@pytest.fixture
def heard(caplog, monkeypatch):
    monkeypatch.setattr(dispatch, '_said', set())
    monkeypatch.setattr(dispatch.logging.getLogger('mmseq'), 'propagate', True)
    caplog.set_level('INFO', logger='mmseq')
    return caplog


@pytest.mark.parametrize('operator', CHOOSING)
def test_every_operator_has_a_reference_and_another_backend(operator):
    importlib.import_module(f'mmseq.ops.{operator}')
    backends = sys.modules[f'mmseq.ops.{operator}'].BACKENDS
    assert next(iter(backends)) == 'reference'
    assert len(backends) > 1


def call(size=4):
    vector = torch.ones(4)
    return ops.global_norm(torch.randn(1, size, size, 4), vector, vector, 1e-5)


def test_the_log_has_the_reason_once_per_backend(heard):
    call()
    call()
    with ops.use('reference'):
        call()
    assert heard.messages == [
        'global_norm runs on backend native: eager code on the CPU',
        'global_norm runs on backend reference: asked for by name',
    ]


def test_beside_the_operator_that_has_the_backend(heard):
    """ShiftViT's shift has a Triton kernel, its norm has none: asked for both, the norm runs, and says so."""
    with ops.use('triton'):
        call()
    assert heard.messages == ['global_norm runs on backend native: eager code on the CPU; it has no triton']
    with ops.use('chunkwise'), pytest.raises(InputError, match="global_norm has no backend 'chunkwise'"):
        call()


def test_the_mixer_says_what_decided(heard):
    for side in (2, 32):
        x, vector, square = torch.randn(1, side, side, 4), torch.ones(4), torch.eye(4)
        ops.global_norm_mlp(x, vector, vector, 1e-5, square, vector, square, vector)
    assert [text for text in heard.messages if 'mlp' in text] == [
        'global_norm_mlp runs on backend composed: small map on the CPU',
        'global_norm_mlp runs on backend native: large map on the CPU',
    ]

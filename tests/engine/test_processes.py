"""Who is told to be missing; tests/faults takes real nodes away."""

import pytest
import torch

from mmseq.engine.processes import describe_missing, is_communication_failure, naming_missing_processes


def test_missing_processes_are_listed_by_node() -> None:
    text = describe_missing({2: 'node b (10.0.0.2)', 3: 'node b (10.0.0.2)', 5: 'node c (10.0.0.3)'}, None)
    assert text.startswith('no answer from: node b (10.0.0.2), rank 2, 3; node c (10.0.0.3), rank 5. ')
    assert '10.0.0.1:29500 (MASTER_ADDR) no longer answers' in describe_missing({}, '10.0.0.1:29500')
    assert 'all of them still answer' in describe_missing({}, None)


def test_only_failures_to_communicate_lead_to_a_roll_call() -> None:
    assert is_communication_failure(RuntimeError('[gloo/transport/tcp/pair.cc:534] Connection closed by peer'))
    assert is_communication_failure(torch.distributed.DistNetworkError('timeout'))
    assert not is_communication_failure(RuntimeError('shape mismatch'))


def test_one_process_alone_keeps_its_errors() -> None:
    with pytest.raises(RuntimeError, match='gloo'), naming_missing_processes():
        raise RuntimeError('gloo')

"""Which processes are reported missing, and how a group is left; tests/faults takes real nodes away."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from mmseq.engine import processes
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


def test_a_roll_call_ends_where_the_store_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('MASTER_ADDR', '10.0.0.1')
    monkeypatch.setenv('MASTER_PORT', '29500')
    monkeypatch.setattr(processes, '_call_roll', lambda seconds: time.sleep(60))
    assert processes.roll_call(0.05) == ({}, '10.0.0.1:29500')


WORKS = """
for _ in range(3000):
    torch.distributed.all_reduce(torch.ones(3), async_op=True)
"""
# The first process has let go of its tensor before the other sends what it waits for: gloo's thread is the last holder.
SLOW_END = """
class Slow:
    def __del__(self):
        for _ in range(1500):
            time.sleep(0.001)
        open(f'{folder}/gone{rank}', 'w').close()
tensor = torch.ones(3)
tensor.held = Slow()
if rank == 1:
    time.sleep(1)
torch.distributed.all_reduce(tensor, async_op=True)
del tensor
"""


@pytest.mark.parametrize('works, left', [(WORKS, []), (SLOW_END, ['gone0', 'gone1'])], ids=['many', 'slow'])
def test_gloo_lets_go_of_all_tensors_before_the_end(tmp_path: Path, works: str, left: list[str]) -> None:
    """Else one of these processes or both abort: in most runs without the barrier, and with it alone while one goes."""
    code = f"""
import sys, time
import torch
from mmseq.engine.processes import leave_group
rank, folder = int(sys.argv[1]), {str(tmp_path)!r}
torch.distributed.init_process_group('gloo', f'file://{{folder}}/store', rank=rank, world_size=2)
# It keeps the group alive, which otherwise waits when it is destroyed.
model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(3, 3))
{works}
leave_group()
"""
    # Not by multiprocessing, whose processes leave without ending their interpreters.
    processes = [subprocess.Popen([sys.executable, '-c', code, str(rank)]) for rank in range(2)]
    assert [process.wait(120) for process in processes] == [0, 0]
    assert sorted(path.name for path in tmp_path.glob('gone*')) == left

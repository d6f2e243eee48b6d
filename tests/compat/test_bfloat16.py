"""Whether bfloat16 is slower than float32 here: a table first, then a product that is timed."""

import re

import pytest
import torch

from mmseq.compat import bfloat16
from mmseq.compat.bfloat16 import bfloat16_problem


@pytest.fixture(autouse=True)
def _asked_anew(monkeypatch):
    for name in ('ONEDNN_MAX_CPU_ISA', 'DNNL_MAX_CPU_ISA'):
        monkeypatch.delenv(name, raising=False)
    bfloat16._processor_problem.cache_clear()
    yield
    bfloat16._processor_problem.cache_clear()


@pytest.mark.parametrize(
    'cpuinfo, share, message',
    [
        ('flags\t\t: fpu avx2 avx512f\n', 0.4, 'has no instructions for bfloat16'),
        ('flags\t\t: fpu avx2 avx512_bf16\n', 0.4, None),
        ('flags\t\t: fpu avx2 avx512_bf16\n', 2.5, r'takes 2\.5 times as long as in float32'),
        ('processor : 0\nFeatures\t: fp asimd bf16\n', 0.4, None),
        ('processor : 0\nFeatures\t: fp asimd\n', 0.4, 'has no instructions for bfloat16'),
        (None, 0.4, None),
        (None, 60.0, 'takes 60'),
    ],
)
def test_the_table_comes_first_and_the_clock_confirms_it(cpuinfo, share, message, tmp_path, monkeypatch):
    if cpuinfo is not None:
        (tmp_path / 'cpuinfo').write_text(cpuinfo)
    monkeypatch.setattr(bfloat16, 'CPUINFO', tmp_path / 'cpuinfo')
    monkeypatch.setattr(bfloat16, 'measured_share', lambda: share)
    found = bfloat16_problem('cpu')
    assert (found is None) == (message is None)
    assert message is None or re.search(message, found)


@pytest.mark.parametrize('level', ['AVX2', 'avx512_core'])
def test_a_limit_of_onednn_counts(level, monkeypatch):
    monkeypatch.setenv('ONEDNN_MAX_CPU_ISA', level)
    assert bfloat16_problem('cpu').startswith(f'ONEDNN_MAX_CPU_ISA={level.upper()} leaves out')


def test_the_measurement_leaves_the_threads_as_they_were():
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert 0 < bfloat16.measured_share() < 10000
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


def test_devices_that_nobody_can_ask_have_no_problem():
    assert bfloat16_problem('meta') is None


@pytest.mark.parametrize('native', [True, False])
def test_gpus_are_asked_without_what_they_imitate(native, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_bf16_supported', lambda including_emulation: native)
    monkeypatch.setattr(torch.cuda, 'get_device_name', lambda: 'Tesla T4')
    assert bfloat16_problem('cuda') == (None if native else 'Tesla T4 has no instructions for bfloat16')

"""A few hundred damaged and hostile files; thousands by ``make fuzz``."""

import warnings

import pytest
from safetensors.torch import load_file, save_file

from benchmarks.fuzz import checkpoints as fuzz_checkpoints
from benchmarks.fuzz.checkpoints import OWN, REFUSED, SAME, fuzz


def run(folder, count, seed):
    with warnings.catch_warnings():
        # torch remarks on odd pickles, which is all that these are.
        warnings.simplefilter('ignore')
        return list(fuzz(folder, count, seed))[-1][1]


def test_nothing_comes_to_a_bad_end(tmp_path):
    result = run(tmp_path, 300, seed=1)
    assert result.bad == []
    ends = sum(result.ends.values(), start=result.ends['flipped'] - result.ends['flipped'])
    assert ends.total() == 300
    assert set(ends) == {REFUSED, SAME, OWN}
    assert result.ends['hostile'].keys() == {REFUSED}


@pytest.mark.parametrize('check', ['check_zip', 'check_tensors'])
def test_it_would_find_out_if_sums_were_not_looked_at(tmp_path, monkeypatch, check):
    monkeypatch.setattr(f'mmseq.checkpoints.storage.{check}', lambda *_: None)
    assert any('other than the sums say' in bad for bad in run(tmp_path, 150, seed=2).bad)


def test_it_would_find_wrong_tensors(tmp_path, monkeypatch):
    convert = fuzz_checkpoints.convert_file

    def careless(name, target, *args):
        convert(name, target, *args)
        if target.name == 'out.safetensors':
            tensors = load_file(target)
            save_file({**tensors, min(tensors): -tensors[min(tensors)]}, target)

    monkeypatch.setattr(fuzz_checkpoints, 'convert_file', careless)
    assert any('wrong tensors' in bad for bad in run(tmp_path, 60, seed=1).bad)

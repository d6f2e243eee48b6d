"""Files that must open, files that must be refused, and files that are merely broken."""

import argparse
import functools
import io
import json
import os
import pickle
import random
import resource
import struct
import subprocess
import sys
import tarfile
import types
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy
import pytest
import torch

from mmseq.checkpoints.records import ArrayRecord, HistoryRecord
from mmseq.checkpoints.storage import load_file, load_records, save_file
from mmseq.errors import InputError

FORMATS = pytest.mark.parametrize('zipped', [True, False], ids=['zip', 'legacy'])


def training_checkpoint() -> dict:
    from mmengine.logging import HistoryBuffer

    return {
        'meta': {'epoch': 3, 'cfg': 'a = 1', 'dataset_meta': {'classes': ('cat', 'dog')}},
        'state_dict': OrderedDict(weight=torch.arange(6.0).reshape(2, 3)),
        'message_hub': {
            'log_scalars': OrderedDict(
                loss=HistoryBuffer([1.5, 2.5], [1, 4]), empty=HistoryBuffer(), short=HistoryBuffer([1], [1], 7)
            ),
            'runtime_info': OrderedDict(best=numpy.float64(0.25), epoch=numpy.int64(3), flag=numpy.bool_(True)),
            'resumed_keys': {'loss': True},
        },
    }


@FORMATS
def test_genuine_mmengine_file_opens(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / 'epoch_3.pth'
    torch.save(training_checkpoint(), path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)
    loaded = load_file(path)
    assert torch.equal(loaded['state_dict']['weight'], torch.arange(6.0).reshape(2, 3))
    assert loaded['meta']['dataset_meta'] == {'classes': ('cat', 'dog')}
    assert loaded['message_hub']['runtime_info'] == {'best': 0.25, 'epoch': 3, 'flag': True}
    loss = loaded['message_hub']['log_scalars']['loss']
    assert isinstance(loss, HistoryRecord)
    assert loss.log_history.tolist() == [1.5, 2.5]
    assert loss.count_history.tolist() == [1, 4]
    assert loss.max_length == 1000000
    assert loaded['message_hub']['log_scalars']['empty'].log_history.numel() == 0
    assert loaded['message_hub']['log_scalars']['short'].max_length == 7


@FORMATS
@pytest.mark.parametrize(
    'array',
    [
        numpy.arange(6, dtype='>i4').reshape(2, 3),
        numpy.asfortranarray(numpy.arange(24.0).reshape(2, 3, 4)),
        numpy.array([1 + 2j, 3 - 4j], dtype='>c16'),
        numpy.array([True, False]),
        numpy.array(5, dtype='u2'),
        numpy.array(['ab', 'ccc', '']),
        numpy.zeros((0, 3), dtype='f4'),
        numpy.float16(0.5),
        numpy.str_('name'),
    ],
    ids=str,
)
def test_numpy_data_keeps_values_and_type(tmp_path: Path, array: numpy.ndarray, zipped: bool) -> None:
    torch.save({'array': array}, tmp_path / 'array.pth', _use_new_zipfile_serialization=zipped)
    record = load_records(tmp_path / 'array.pth')['array']
    assert isinstance(record, ArrayRecord)
    assert record.scalar == isinstance(array, numpy.generic)
    values = record.values.numpy() if isinstance(record.values, torch.Tensor) else numpy.array(record.values)
    numpy.testing.assert_array_equal(values.astype(record.dtype), array)
    assert record.dtype == array.dtype.str[1:]


def test_old_numpy_module_names_open(tmp_path: Path) -> None:
    """numpy 1 wrote `numpy.core`, numpy 2 writes `numpy._core`."""
    torch.save({'array': numpy.arange(3)}, tmp_path / 'new.pth', _use_new_zipfile_serialization=False)
    new = (tmp_path / 'new.pth').read_bytes()
    old = new.replace(b'numpy._core', b'numpy.core')
    assert old != new
    (tmp_path / 'old.pth').write_bytes(old)
    assert load_file(tmp_path / 'old.pth')['array'].tolist() == [0, 1, 2]


def test_malformed_array_is_named(tmp_path: Path) -> None:
    class Array:
        """An array with a text for the order of its columns."""

        def __reduce__(self) -> tuple:
            state = (1, (2,), numpy.dtype('f8'), 'yes', bytes(16))
            return numpy._core.multiarray._reconstruct, (numpy.ndarray, (0,), b'b'), state

    torch.save({'array': Array()}, tmp_path / 'array.pth')
    with pytest.raises(InputError, match='numpy array of plain numbers with str in place of int'):
        load_file(tmp_path / 'array.pth')


def test_namespace_becomes_a_dict(tmp_path: Path) -> None:
    torch.save({'model': {}, 'args': argparse.Namespace(lr=0.1, seed=numpy.int64(3))}, tmp_path / 'shift.pth')
    assert load_file(tmp_path / 'shift.pth')['args'] == {'lr': 0.1, 'seed': 3}


def test_state_dict_keeps_metadata_and_shared_memory(tmp_path: Path) -> None:
    state = torch.nn.BatchNorm1d(2).state_dict()
    state['again'] = state['weight']
    state['note'] = b''
    save_file(state, tmp_path / 'state.pth')
    torch.load(tmp_path / 'state.pth', weights_only=True)
    loaded = load_file(tmp_path / 'state.pth')
    assert loaded._metadata == state._metadata
    assert loaded['note'] == b''
    assert loaded['again'].data_ptr() == loaded['weight'].data_ptr()


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_round_trip(tmp_path: Path, suffix: str) -> None:
    weight = torch.randn(3, 4, dtype=torch.bfloat16)
    weights = {'a': weight, 'tied': weight, 'transposed': torch.randn(3, 4).t(), 'empty': torch.empty(0, 2)}
    path = tmp_path / 'new' / f'weights{suffix}'
    save_file(weights, path)
    loaded = load_file(path)
    assert loaded.keys() == weights.keys()
    for key, value in weights.items():
        torch.testing.assert_close(loaded[key], value, rtol=0, atol=0)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert not path.stat().st_mode & 0o111
    assert path.stat().st_mode & 0o400


def test_records_are_saved_as_plain_data(tmp_path: Path) -> None:
    torch.save(training_checkpoint(), tmp_path / 'old.pth')
    save_file(load_records(tmp_path / 'old.pth'), tmp_path / 'new.pth')
    torch.load(tmp_path / 'new.pth', weights_only=True)
    first, second = load_records(tmp_path / 'old.pth'), load_records(tmp_path / 'new.pth')
    assert repr(first) == repr(second)


def test_file_packed_again_with_compression_opens(tmp_path: Path) -> None:
    torch.save({'weight': torch.zeros(1000)}, tmp_path / 'stored.pth')
    with zipfile.ZipFile(tmp_path / 'stored.pth') as old, zipfile.ZipFile(tmp_path / 'packed.pth', 'w') as new:
        for entry in old.infolist():
            new.writestr(entry.filename, old.read(entry), zipfile.ZIP_DEFLATED)
    assert torch.equal(load_file(tmp_path / 'packed.pth')['weight'], torch.zeros(1000))


def test_names_allowed_by_others_are_put_back(tmp_path: Path) -> None:
    torch.save(training_checkpoint(), tmp_path / 'old.pth')
    with torch.serialization.safe_globals([Path]):
        before = set(torch.serialization.get_safe_globals())
        load_file(tmp_path / 'old.pth')
        assert set(torch.serialization.get_safe_globals()) == before
        assert Path in before


# Pickles that do harm when anybody's `pickle.load` reads them.


class Call:
    """Pickles as a call of `function`."""

    def __init__(self, function: object, *args: object) -> None:
        self.function, self.args = function, args

    def __reduce__(self) -> tuple:
        return self.function, self.args

    def __call__(self) -> None:
        """Let pickle take the result of one call for the function of another."""


def harmful(marker: Path) -> dict[str, object]:
    from mmengine.logging import HistoryBuffer

    command = f'open({str(marker)!r}, "w")'
    return {
        'system': Call(os.system, f'touch {marker}'),
        'eval': Call(eval, command),
        'exec': Call(exec, command),
        'open': Call(open, str(marker), 'w'),
        'getattr of module': Call(Call(getattr, Call(__import__, 'os'), 'system'), f'touch {marker}'),
        'getattr of getattr': Call(getattr, Call(getattr, HistoryBuffer, '__init__'), '__globals__'),
        'getattr of history': Call(getattr, HistoryBuffer, '__subclasses__'),
        'getattr with default': Call(getattr, HistoryBuffer, 'mean', None),
        'numpy objects': numpy.array([Call(os.system, f'touch {marker}')], dtype=object),
        'plain numpy objects': numpy.array([{}, []], dtype=object),
        'numpy structure': numpy.zeros(2, dtype=[('a', 'i4'), ('b', 'f4')]),
        'subprocess': Call(subprocess.check_call, ['touch', str(marker)]),
        'mkdir through pathlib': Call(Path.mkdir, marker),
        'bytes': Call(bytes, 10),
        'partial': Call(Call(functools.partial, os.system, f'touch {marker}')),
    }


def write_pickle(payload: bytes, path: Path, layout: str) -> None:
    """Put a pickle into each of the layouts that torch reads."""
    if layout == 'zip':
        torch.save({}, path)
        with zipfile.ZipFile(path) as archive:
            entries = {entry.filename: archive.read(entry) for entry in archive.infolist()}
        with zipfile.ZipFile(path, 'w') as archive:
            for name, data in entries.items():
                archive.writestr(name, payload if name.endswith('data.pkl') else data)
    elif layout == 'legacy':
        from torch.serialization import MAGIC_NUMBER, PROTOCOL_VERSION

        head = b''.join(pickle.dumps(value, 2) for value in (MAGIC_NUMBER, PROTOCOL_VERSION, {}))
        path.write_bytes(head + payload + pickle.dumps([], 2))
    elif layout == 'first pickle':
        path.write_bytes(payload)
    else:
        (path.parent / 'storages').write_bytes(payload)
        with tarfile.open(path, 'w') as archive:
            archive.add(path.parent / 'storages', 'storages')


LAYOUTS = ('zip', 'legacy', 'first pickle', 'tar')


@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('name', harmful(Path('marker')))
@pytest.mark.parametrize('protocol', [2, 4])
def test_harmful_pickles_are_refused(tmp_path: Path, name: str, layout: str, protocol: int) -> None:
    marker = tmp_path / 'harm_done'
    payload = pickle.dumps({'state_dict': harmful(marker)[name]}, protocol)
    write_pickle(payload, tmp_path / 'evil.pth', layout)
    with pytest.raises(InputError, match=r'evil\.pth') as refused:
        load_file(tmp_path / 'evil.pth')
    assert '\n' not in str(refused.value)
    assert {file.name for file in tmp_path.iterdir()} <= {'evil.pth', 'storages'}


def test_the_harmful_pickles_do_harm_elsewhere(tmp_path: Path) -> None:
    """The list would prove nothing if its pickles were duds."""
    harmed = set()
    for name in harmful(tmp_path):
        marker = tmp_path / name.replace(' ', '_')
        payload = pickle.dumps(harmful(marker)[name], 2)
        if name != 'getattr with default':
            pickle.loads(payload)
        if marker.exists():
            harmed.add(name)
    assert harmed >= {'system', 'eval', 'exec', 'open', 'getattr of module', 'numpy objects', 'subprocess'}


@pytest.mark.parametrize('layout', ['zip', 'legacy'])
def test_refusal_names_file_and_function(tmp_path: Path, layout: str) -> None:
    for function, name in ((os.system, f'{os.system.__module__}.system'), (exec, 'builtins.exec')):
        write_pickle(pickle.dumps(Call(function, 'true'), 2), tmp_path / 'evil.pth', layout)
        with pytest.raises(InputError) as refused:
            load_file(tmp_path / 'evil.pth')
        assert str(refused.value).startswith(f'{tmp_path / "evil.pth"}: wants to run {name}: refused; ')


@FORMATS
def test_getattr_is_guarded_also_where_nobody_looks(tmp_path: Path, zipped: bool) -> None:
    """The statistics of a history are not read, but what stands there is unpickled."""
    checkpoint = training_checkpoint()
    loss = checkpoint['message_hub']['log_scalars']['loss']
    loss.hidden = Call(getattr, type(loss), '__init__')
    torch.save(checkpoint, tmp_path / 'evil.pth', _use_new_zipfile_serialization=zipped)
    with pytest.raises(InputError, match=r'a call of builtins\.getattr for .*__init__.*: refused'):
        load_file(tmp_path / 'evil.pth')


class OnlyNamespace(pickle.Unpickler):
    """Allows one harmless name."""

    def find_class(self, module: str, name: str) -> type:
        if (module, name) != ('argparse', 'Namespace'):
            raise pickle.UnpicklingError(f'{module}.{name}')
        return argparse.Namespace


def test_no_patch_file_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch's old format writes `<name>.patch`, name and text chosen by the file, for a class with `dump_patches`.

    An unpickler that guards names, handed to `torch.load(weights_only=False)`, lets this through: no odd name is used.
    """
    monkeypatch.chdir(tmp_path)

    class Pickler(pickle.Pickler):
        def persistent_id(self, value: object) -> object:
            return ('module', argparse.Namespace, 'file.py', 'planted text') if value == 'here' else None

    buffer = io.BytesIO()
    Pickler(buffer, 2).dump({'state_dict': 'here'})
    state = pickle.dumps((None, {'dump_patches': True, '__name__': 'planted'}), 2)
    # The class, its new attributes, BUILD, POP; the two bytes at the start of a pickle are its protocol.
    change = b'\x80\x02cargparse\nNamespace\n' + state[2:-1] + b'b0'
    write_pickle(change + buffer.getvalue()[2:], tmp_path / 'evil.pth', 'legacy')
    with pytest.raises(InputError):
        load_file(tmp_path / 'evil.pth')
    assert [file.name for file in tmp_path.iterdir()] == ['evil.pth']
    guarded = types.SimpleNamespace(
        __name__='guarded', Unpickler=OnlyNamespace, load=lambda file, **options: OnlyNamespace(file, **options).load()
    )
    try:
        with pytest.warns(torch.serialization.SourceChangeWarning):
            torch.load(tmp_path / 'evil.pth', weights_only=False, pickle_module=guarded)
    finally:
        argparse.Namespace.__name__ = 'Namespace'
        del argparse.Namespace.dump_patches
    assert (tmp_path / 'planted.patch').exists()


def test_torchscript_is_refused(tmp_path: Path) -> None:
    torch.save({}, tmp_path / 'script.pth')
    with zipfile.ZipFile(tmp_path / 'script.pth', 'a') as archive:
        archive.writestr('script/constants.pkl', b'')
    with pytest.raises(InputError, match='TorchScript'):
        load_file(tmp_path / 'script.pth')


def test_containers_that_explode_or_loop_are_no_trouble(tmp_path: Path) -> None:
    laughs: list = []
    for _ in range(60):
        laughs = [laughs, laughs]
    torch.save({'a': laughs}, tmp_path / 'laughs.pth')
    with pytest.raises(InputError, match='write out to more than'):
        load_file(tmp_path / 'laughs.pth')
    loop: list = []
    loop.append(loop)
    torch.save({'a': loop}, tmp_path / 'loop.pth')
    with pytest.raises(InputError, match='holds itself'):
        load_file(tmp_path / 'loop.pth')


# Files that are something else.


@pytest.mark.parametrize(
    'name, content, words',
    [
        ('empty.pth', b'', 'is empty'),
        ('notes.pth', b'weights are on the other disk\n', 'text file'),
        ('page.pth', b'\n<!DOCTYPE html><html>404</html>', 'web page'),
        ('page.safetensors', b'<html></html>', 'web page'),
        ('pointer.pth', b'version https://git-lfs.github.com/spec/v1\noid sha256:0', 'git lfs pull'),
        ('pointer.safetensors', b'version https://git-lfs.github.com/spec/v1\noid sha256:0', 'git lfs pull'),
        ('image.pth', b'\x89PNG\r\n\x1a\n\0\0', 'no format of torch.save'),
        ('stub.pth', b'PK\x03\x04', 'damaged'),
        ('plain.pth', pickle.dumps({'a': 1}), 'damaged or no checkpoint'),
        ('stub.safetensors', struct.pack('<Q', 10**15) + b'{}', 'damaged'),
        ('short.safetensors', struct.pack('<Q', 100) + b'{"a', 'damaged'),
    ],
)
def test_other_files_are_named_for_what_they_are(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=words) as refused:
        load_file(tmp_path / name)
    assert str(tmp_path / name) in str(refused.value)
    assert '\n' not in str(refused.value)


def test_missing_directory_and_non_dict(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='no such file'):
        load_file(tmp_path / 'absent.pth')
    with pytest.raises(InputError, match='is a directory'):
        load_file(tmp_path)
    torch.save(torch.zeros(2), tmp_path / 'tensor.pth')
    with pytest.raises(InputError, match='holds a Tensor'):
        load_file(tmp_path / 'tensor.pth')


@pytest.mark.parametrize('kind', ['zip', 'legacy', 'safetensors'])
def test_damaged_files_load_or_are_refused(tmp_path: Path, kind: str) -> None:
    """Bit flips and truncations of a genuine file: nothing but InputError, no crash."""
    path = tmp_path / ('fuzz.safetensors' if kind == 'safetensors' else 'fuzz.pth')
    if kind == 'safetensors':
        save_file({'weight': torch.ones(3)}, path)
    else:
        torch.save(training_checkpoint(), path, _use_new_zipfile_serialization=kind == 'zip')
    whole = path.read_bytes()
    chance = random.Random(0)
    refused = whole_enough = 0
    for trial in range(250):
        data = bytearray(whole)
        if trial % 5 == 0:
            data = data[: chance.randrange(len(data))]
        else:
            for _ in range(chance.choice([1, 1, 8])):
                data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(data)
        try:
            loaded = load_file(path)
        except InputError as error:
            refused += '\n' not in str(error)
        else:
            whole_enough += isinstance(loaded, dict)
    assert refused + whole_enough == 250
    assert refused >= 50


# Writing.


def test_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    """A limit on the file size stands in for a full disk; in a process of its own, since it lasts."""
    path = tmp_path / 'weights.pth'
    save_file({'weight': torch.zeros(2)}, path)
    code = f"""
import resource, torch
from mmseq.checkpoints.storage import save_file
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
for name in ('weights.pth', 'weights.safetensors'):
    try:
        save_file({{'weight': torch.zeros(1_000_000)}}, {str(tmp_path)!r} + '/' + name)
    except Exception as error:
        print(type(error).__name__)
"""
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] == 'OSError'
    assert len(done.stdout.split()) == 2
    assert [file.name for file in tmp_path.iterdir()] == ['weights.pth']
    assert load_file(path)['weight'].tolist() == [0, 0]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 100_000


def test_interrupt_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / 'weights.pth'
    save_file({'weight': torch.zeros(2)}, path)

    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, 'replace', interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_file({'weight': torch.ones(2)}, path)
    assert [file.name for file in tmp_path.iterdir()] == ['weights.pth']
    assert load_file(path)['weight'].tolist() == [0, 0]


def test_link_is_written_through(tmp_path: Path) -> None:
    (tmp_path / 'real').mkdir()
    (tmp_path / 'latest.pth').symlink_to(tmp_path / 'real' / 'epoch.pth')
    save_file({'weight': torch.ones(2)}, tmp_path / 'latest.pth')
    assert (tmp_path / 'latest.pth').is_symlink()
    assert load_file(tmp_path / 'real' / 'epoch.pth')['weight'].tolist() == [1, 1]


def test_safetensors_takes_tensors_only(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'meta' is none"):
        save_file({'weight': torch.zeros(2), 'meta': {}}, tmp_path / 'weights.safetensors')
    assert list(tmp_path.iterdir()) == []


def test_other_process_opens_what_is_saved(tmp_path: Path) -> None:
    torch.save(training_checkpoint(), tmp_path / 'old.pth')
    save_file(load_records(tmp_path / 'old.pth'), tmp_path / 'new.pth')
    code = (
        'import json, sys, torch\n'
        f'hub = torch.load({str(tmp_path / "new.pth")!r}, weights_only=True)["message_hub"]\n'
        'print(json.dumps([hub["log_scalars"]["loss"]["log_history"].tolist(), "mmengine" in sys.modules]))'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [[1.5, 2.5], False]

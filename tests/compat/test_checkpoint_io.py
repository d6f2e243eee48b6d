"""Real runners that save and resume, with files of patched and of plain mmengine."""

import copy
import enum
import importlib
import json
import logging
import os
import pickle
import subprocess
import sys
from collections import OrderedDict, deque
from pathlib import Path
from typing import Any

import mmengine.runner.checkpoint
import mmengine.runner.runner
import numpy
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.runner import Runner, load_checkpoint
from torch import Tensor, nn

from mmseq.checkpoints.fetch import web_cache
from mmseq.compat import checkpoint_io
from mmseq.compat.checkpoint_codec import decode, encode
from mmseq.errors import InputError
from mmseq.files import drafts_in
from tests.compat import tiny_training
from tests.compat.tiny_training import runner

# By this name it is the mended one, whatever was imported first.
save_checkpoint = mmengine.runner.checkpoint.save_checkpoint

BASED = pytest.mark.parametrize('by_epoch', [True, False], ids=['epoch', 'iter'])


def outcome(finished: Runner) -> tuple[dict[str, list], dict[str, Tensor]]:
    scalars = finished.message_hub.log_scalars
    # Times differ from run to run.
    histories = {key: [part.tolist() for part in scalars[key].data] for key in scalars if 'time' not in key}
    return histories, finished.model.state_dict()


def assert_same(expected: tuple, second: Runner) -> None:
    histories, weights = expected
    others, other_weights = outcome(second)
    assert histories.keys() == others.keys() >= {'train/loss', 'train/lr', 'train/grad_norm'}
    assert histories == others
    for key, value in weights.items():
        torch.testing.assert_close(value, other_weights[key], rtol=0, atol=0)


def plain_opening(path: Path) -> dict:
    """Open the file in a process that knows nothing of mmengine and mmseq."""
    code = f"""
import json, sys, torch
saved = torch.load({str(path)!r}, weights_only=True)
loss = saved['message_hub']['log_scalars']['train/loss']
print(json.dumps(dict(
    keys=sorted(saved), loss=loss['log_history'].tolist(), count=loss['count_history'].tolist(),
    modules=[name for name in ('mmengine', 'mmseq') if name in sys.modules])))
"""
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope='module')
def straight(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, tuple]:
    """By `by_epoch`, the outcome of four epochs in one go."""
    outcomes = {}
    for by_epoch in (True, False):
        # One after the other: mmengine logs to the hub of the runner that was built last.
        whole = runner(tmp_path_factory.mktemp('straight'), by_epoch, 4)
        whole.train()
        outcomes[by_epoch] = outcome(whole)
    return outcomes


@pytest.fixture(scope='module')
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """By `by_epoch`, a file after two epochs from another process, with an mmengine that mmseq has not touched."""
    folder = tmp_path_factory.mktemp('plain')
    command = [sys.executable, tiny_training.__file__, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {True: folder / 'epoch' / 'epoch_2.pth', False: folder / 'iter' / 'iter_8.pth'}


@BASED
def test_resumed_training_ends_like_an_uninterrupted_one(
    tmp_path: Path, by_epoch: bool, straight: dict[bool, tuple]
) -> None:
    first = runner(tmp_path / 'parted', by_epoch, 2)
    first.train()
    name = 'epoch_2.pth' if by_epoch else 'iter_8.pth'
    opened = plain_opening(tmp_path / 'parted' / name)
    assert opened['keys'] == ['message_hub', 'meta', 'optimizer', 'param_schedulers', 'state_dict']
    assert opened['modules'] == []
    assert opened['loss'] == outcome(first)[0]['train/loss'][0]
    assert len(opened['loss']) == len(opened['count']) == 8
    # 'latest' by the marker that the hook writes.
    second = runner(tmp_path / 'parted', by_epoch, 4, resume=True)
    second.train()
    assert second.iter == 16
    assert_same(straight[by_epoch], second)
    assert isinstance(second.message_hub.get_scalar('train/loss').statistics('mean'), float)
    assert not drafts_in(tmp_path / 'parted')


@BASED
def test_file_of_plain_mmengine_resumes(
    tmp_path: Path, by_epoch: bool, straight: dict[bool, tuple], plain: dict[bool, Path]
) -> None:
    with pytest.raises(pickle.UnpicklingError):
        torch.load(plain[by_epoch], weights_only=True)
    resumed = runner(tmp_path / 'new', by_epoch, 4, load_from=str(plain[by_epoch]), resume=True)
    resumed.train()
    assert_same(straight[by_epoch], resumed)


def test_every_name_is_ours() -> None:
    checkpoint_io.install()
    checkpoint_io.install()
    ours = mmengine.runner.checkpoint.save_checkpoint
    assert ours.__module__ == checkpoint_io.__name__ or ours.__wrapped__
    assert mmengine.runner.save_checkpoint is mmengine.runner.runner.save_checkpoint is ours
    assert not hasattr(ours.__wrapped__, '__wrapped__')
    assert mmengine.runner.checkpoint.CheckpointLoader._schemes[''] is checkpoint_io.load_from_local


@pytest.mark.parametrize('first', ['mmseq', 'mmengine.runner'])
def test_mended_in_any_order_of_imports_and_after_reload(first: str) -> None:
    code = (
        f'import {first}, mmseq, mmengine.runner as r, mmengine.runner.runner as rr, mmengine.runner.checkpoint as c\n'
        'from mmseq.compat import checkpoint_io\n'
        'assert c.save_checkpoint.__wrapped__\n'
        'assert c.save_checkpoint is r.save_checkpoint is rr.save_checkpoint\n'
        "assert c.CheckpointLoader._schemes[''] is checkpoint_io.load_from_local\n"
        'assert c.load_url is checkpoint_io._load_from_url\n'
        'import importlib\n'
        'importlib.reload(c)\n'
        'assert c.save_checkpoint.__wrapped__ and not hasattr(c.save_checkpoint.__wrapped__, "__wrapped__")\n'
        "assert c.CheckpointLoader._schemes[''] is checkpoint_io.load_from_local\n"
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


class Colour(enum.Enum):
    RED = 'red'


class Opaque:
    pass


def lossless() -> dict[str, Any]:
    return {
        'scalar': numpy.float32(0.5),
        'flag': numpy.bool_(False),
        'array': numpy.arange(6, dtype='>i2').reshape(2, 3)[:, ::-1],
        'fortran': numpy.asfortranarray(numpy.ones((2, 3))),
        'names': numpy.array(['a', 'bcd']),
        'name': numpy.str_('abc'),
        'nested': [{'deep': (numpy.int64(1), None, 'x')}],
        'nan': float('nan'),
        'large': 2**80,
    }


def test_numpy_data_returns_with_its_type(tmp_path: Path) -> None:
    save_checkpoint({'data': lossless()}, str(tmp_path / 'a.pth'))
    torch.load(tmp_path / 'a.pth', weights_only=True)
    loaded = checkpoint_io.load_from_local(str(tmp_path / 'a.pth'), 'cpu')['data']
    for key, value in lossless().items():
        if isinstance(value, numpy.ndarray | numpy.generic):
            assert type(loaded[key]) is type(value), key
            assert loaded[key].dtype == value.dtype.newbyteorder('='), key
        numpy.testing.assert_equal(loaded[key], value)


def test_other_types_become_plain(tmp_path: Path) -> None:
    data = {
        'path': Path('a/b'),
        'deque': deque([1, 2], maxlen=3),
        'config': ConfigDict(a=ConfigDict(b=numpy.int64(1))),
        'colour': Colour.RED,
        'set': {numpy.int64(1), 2},
        'range': range(3),
        numpy.int64(7): 'key',
        ('t', numpy.int64(1)): 'tuple key',
    }
    save_checkpoint({'data': data}, str(tmp_path / 'a.pth'))
    assert checkpoint_io.load_from_local(str(tmp_path / 'a.pth'))['data'] == {
        'path': 'a/b',
        'deque': [1, 2],
        'config': {'a': {'b': 1}},
        'colour': 'red',
        'set': {1, 2},
        'range': [0, 1, 2],
        7: 'key',
        ('t', 1): 'tuple key',
    }


def test_a_history_of_texts_is_left_out() -> None:
    history = HistoryBuffer([1.0], [1])
    history._log_history = numpy.array(['one'])
    assert encode({'history': history, 'epoch': 3}) == {'epoch': 3}


def test_what_has_no_plain_form_is_left_out_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    hub = {'runtime_info': {'opaque': Opaque(), 'objects': numpy.array([{}], dtype=object), 'list': [Opaque(), 1]}}
    with caplog.at_level(logging.WARNING):
        encoded = encode({'message_hub': hub})
    assert encoded == {'message_hub': {'runtime_info': {'list': [None, 1]}}}
    assert hub['runtime_info'].keys() == {'opaque', 'objects', 'list'}


def test_saving_changes_nothing_that_is_alive(tmp_path: Path) -> None:
    hub = MessageHub.get_instance('checkpoint-io-live')
    hub.update_scalar('loss', 1.5)
    hub.update_info('best', numpy.float64(3))
    model = nn.Linear(2, 2)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    checkpoint = {
        'state_dict': model.state_dict(),
        'optimizer': optimizer.state_dict(),
        'message_hub': {'log_scalars': hub.log_scalars, 'runtime_info': hub.runtime_info},
    }
    optimizer_before = copy.deepcopy(checkpoint['optimizer'])
    save_checkpoint(checkpoint, str(tmp_path / 'a.pth'))
    assert checkpoint.keys() == {'state_dict', 'optimizer', 'message_hub'}
    assert type(checkpoint['message_hub']['log_scalars']['loss']) is HistoryBuffer
    assert 'statistics_methods' not in vars(hub.get_scalar('loss'))
    assert type(hub.get_info('best')) is numpy.float64
    assert repr(checkpoint['optimizer']) == repr(optimizer_before)
    loaded = checkpoint_io.load_from_local(str(tmp_path / 'a.pth'), 'cpu')
    assert loaded['state_dict']._metadata == checkpoint['state_dict']._metadata
    # Nothing that was loaded hangs on anything alive.
    loaded['message_hub']['log_scalars']['loss'].update(9.0)
    assert hub.get_scalar('loss').data[0].tolist() == [1.5]


def test_histories_are_lossless() -> None:
    history = HistoryBuffer([1, 2.5, float('inf')], [1, 2, 3], max_length=3)
    again = decode(encode({'h': history}))['h']
    assert again.data[0].tolist() == history.data[0].tolist()
    assert again.data[0].dtype == history.data[0].dtype
    assert again.data[1].dtype == history.data[1].dtype
    assert again.max_length == 3
    for name in ('min', 'max', 'current', 'mean'):
        assert again.statistics(name) == history.statistics(name)
    again.update(4.0)
    assert again.data[0].tolist() == [2.5, float('inf'), 4.0]


def test_map_location_is_honoured(tmp_path: Path) -> None:
    save_checkpoint({'state_dict': {'w': torch.ones(2)}, 'n': numpy.float64(2)}, str(tmp_path / 'a.pth'))
    for location in ('cpu', None, torch.device('cpu'), {'cpu': 'cpu'}, lambda storage, _: storage):
        loaded = checkpoint_io.load_from_local(str(tmp_path / 'a.pth'), location)
        assert loaded['state_dict']['w'].device.type == 'cpu'


def test_other_backends_keep_their_put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mmengine.fileio import HardDiskBackend, LocalBackend
    from mmengine.fileio.backends.registry_utils import backends

    puts: list[str] = []

    class Spy(LocalBackend):
        def put(self, obj: bytes, filepath: str) -> None:
            puts.append(str(filepath))
            super().put(obj, filepath)

    class DiskSpy(Spy, HardDiskBackend):
        pass

    monkeypatch.setitem(backends, 'spy', Spy)
    monkeypatch.setitem(mmengine.fileio.FileClient._backends, 'disk', DiskSpy)
    mmengine.fileio.FileClient._instances.clear()
    places = [{'backend_args': {'backend': 'spy'}}, {'file_client_args': {'backend': 'disk'}}]
    for index, options in enumerate(places):
        path = tmp_path / f'{index}.pth'
        save_checkpoint({'h': HistoryBuffer([1.0], [1])}, str(path), **options)
        assert puts == [str(path)]
        puts.clear()
        torch.load(path, weights_only=True)
        assert isinstance(checkpoint_io.load_from_local(str(path))['h'], HistoryBuffer)
    mmengine.fileio.FileClient._instances.clear()
    for options in ({}, {'backend_args': {'backend': 'local'}}):
        save_checkpoint({}, str(tmp_path / 'ours.pth'), **options)
    assert puts == []


class Evil:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple:
        return os.system, (f'touch {self.marker}',)


ADDRESS = 'https://127.0.0.1:1/weights.pth'


@pytest.fixture
def downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The place of a file that was downloaded from `ADDRESS`."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'hub'))
    (place := web_cache(ADDRESS)).parent.mkdir(parents=True)
    return place


def test_downloaded_and_local_files_run_no_code(tmp_path: Path, downloaded: Path) -> None:
    torch.save({'state_dict': {}, 'evil': Evil(tmp_path / 'marker')}, downloaded)
    for name in (ADDRESS, str(downloaded)):
        with pytest.raises(InputError, match=r'weights\.pth: wants to run \w+\.system'):
            load_checkpoint(nn.Linear(1, 1), name)
    assert not (tmp_path / 'marker').exists()


def test_downloaded_training_file_opens(downloaded: Path) -> None:
    model = nn.Linear(1, 1)
    history = {'log_scalars': OrderedDict(loss=HistoryBuffer([1.0], [1]))}
    torch.save({'state_dict': model.state_dict(), 'message_hub': history}, downloaded)
    loaded = load_checkpoint(nn.Linear(1, 1), ADDRESS)
    assert isinstance(loaded['message_hub']['log_scalars']['loss'], HistoryBuffer)


def test_mmengine_asks_no_insecure_address() -> None:
    with pytest.raises(InputError, match='http:// is not known'):
        load_checkpoint(nn.Linear(1, 1), 'http://127.0.0.1:1/weights.pth')


def test_text_of_a_config_is_not_run_on_resuming(tmp_path: Path) -> None:
    torch.save({'state_dict': {}, 'meta': {'config': 'import os', 'epoch': 1}}, tmp_path / 'a.pth')
    assert checkpoint_io.load_from_local(str(tmp_path / 'a.pth'))['meta'] == {'epoch': 1}


def test_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r'absent\.pth: no such file'):
        importlib.import_module('mmengine.runner').load_checkpoint(nn.Linear(1, 1), str(tmp_path / 'absent.pth'))

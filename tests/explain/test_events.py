"""What happens on the way: real failures where a machine without GPUs has them, their texts where it has not."""

import errno
import os
import resource

import pytest
import torch
from mmengine.config import Config

from mmseq.errors import InputError, ProcessError
from mmseq.explain import explain, explaining
from mmseq.explain.work import Work

WORK = Work('training', 'mine.py', Config(dict(work_dir='out')))


@pytest.mark.parametrize(
    'text,said',
    [
        ('Expected to have finished reduction in the prior iteration before starting a new one.', 'find_unused_param'),
        ('CUDA error: device-side assert triggered', 'mmseq check-data CONFIG --all names such files'),
        ('CUDA error: invalid device ordinal', 'fewer GPUs here than processes: lower --gpus'),
        ('received 0 items of ancdata', 'ulimit -n 65536'),
        ('Given groups=1, expected input[2, 192, 8, 8] to have 256 channels, but got 192 channels instead', 'for 256'),
        (
            'Caught FileNotFoundError in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n'
            "FileNotFoundError: [Errno 2] No such file or directory: 'a/b.png'\n",
            'mine.py: a/b.png: No such file or directory',
        ),
    ],
)
def test_texts(text, said):
    message = str(explain(RuntimeError(text), WORK))
    assert said in message
    assert message.startswith('config mine.py: ')
    assert '\n' not in message


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')
def test_no_gpu():
    with pytest.raises(InputError, match='no GPU here that this torch can use'), explaining(WORK):
        torch.zeros(1, device='cuda')


@pytest.mark.parametrize('device', ['gpu', 'cuda:x'])
def test_devices_that_are_none(device):
    with pytest.raises(InputError, match=f'device.*{device}'), explaining(WORK):
        torch.device(device)


def test_too_many_open_files(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    kept = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    try:
        with pytest.raises(InputError, match='too many open files: raise the limit'), explaining(WORK):
            kept.extend((tmp_path / f'{i}').open('w') for i in range(300))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for file in kept:
            file.close()


@pytest.mark.parametrize('code', [errno.ENOSPC, errno.EDQUOT])
def test_full_disk(code):
    message = str(explain(OSError(code, os.strerror(code), 'out/iter_1.pth'), WORK))
    assert message.startswith(f'config mine.py: out/iter_1.pth: cannot be written ({os.strerror(code)})')
    assert message.endswith('free disk space and continue with --resume')


def test_what_one_process_meets_is_said_by_it(monkeypatch):
    monkeypatch.setenv('WORLD_SIZE', '4')
    monkeypatch.setenv('RANK', '3')
    full = explain(OSError(errno.ENOSPC, 'No space left on device', 'out/a'), WORK)
    assert isinstance(full, ProcessError)
    assert str(full).startswith('rank 3: config mine.py: ')
    # A config is wrong in all of them, and the first speaks.
    unknown = explain(KeyError('Xyzzy is not in the mmseg::model registry. Please check'), WORK)
    assert type(unknown) is InputError
    assert str(unknown).startswith('config mine.py: Xyzzy is not in the mmseg::model registry; ')


def test_errors_that_are_input_errors_already_pass():
    with pytest.raises(InputError, match='^as it was$'), explaining(WORK):
        raise InputError('as it was')


def test_bugs_keep_their_traceback():
    with pytest.raises(ZeroDivisionError), explaining(WORK):
        int(1 / 0)
    with pytest.raises(TypeError), explaining(WORK):
        min(None)


def test_a_call_that_the_config_has_nothing_to_do_with_keeps_its_traceback():
    class Own:
        def __init__(self, a):
            self.a = a

    for call in (lambda: Own(b=1), Own):
        with pytest.raises(TypeError), explaining(WORK):
            call()

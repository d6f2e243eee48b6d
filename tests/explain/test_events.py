"""What happens on the way: real failures where a machine without GPUs has them, their texts where it has not."""

import errno
import os
import resource

import numpy as np
import pytest
import torch
from mmcv.transforms import BaseTransform
from mmengine.config import Config
from torch.utils.data import DataLoader, Dataset

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
        ("'ConcatDataset' object has no attribute 'get_cat_ids'", 'put it around each data set inside instead'),
        ("'SegDataSample' object has no attribute '_gt_sem_seg'", 'wants gt_sem_seg that the pipeline does not load'),
        (
            'stack expects each tensor to be equal size, but got [3, 128, 176] at entry 0 and [3, 167, 153] at entry 1',
            'of several sizes, [3, 128, 176] and [3, 167, 153]: end the pipeline',
        ),
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


class Numbers(Dataset):
    """A sample whose masks a mosaic left behind: fewer than its boxes."""

    def __init__(self, transform):
        self.transform = transform

    def __len__(self):
        return 2

    def __getitem__(self, index):
        from mmdet.structures.mask import BitmapMasks

        masks = BitmapMasks(np.zeros((1, 4, 4), np.uint8), 4, 4)
        flags = np.array([False, False, True])
        sample = dict(img=np.zeros((4, 4, 3), np.uint8), gt_masks=masks, gt_ignore_flags=flags)
        return self.transform(sample)


class Own(BaseTransform):
    """A user's own, with a fault of its own."""

    def transform(self, results):
        return results['nothing']


@pytest.mark.parametrize('workers, name', [(0, 'PackDetInputs'), (1, r'a transform of mmdet/\S+formatting\.py')])
def test_a_transform_of_upstreams_that_does_not_take_its_sample(workers, name):
    from mmdet.datasets.transforms import PackDetInputs

    loader = DataLoader(Numbers(PackDetInputs(meta_keys=())), num_workers=workers)
    message = f'{name} ends with IndexError: .*; it does not take'
    with pytest.raises(InputError, match=message) as caught, explaining(WORK):
        list(loader)
    assert '\n' not in str(caught.value)
    with pytest.raises(KeyError), explaining(WORK):
        list(DataLoader(Numbers(Own()), num_workers=workers))


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

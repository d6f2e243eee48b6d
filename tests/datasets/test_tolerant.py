"""Damaged samples are replaced, named and counted; the rest of what a data set offers stays as it was."""

import copy
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.dataset import BaseDataset
from PIL import Image

from mmseq.datasets.tolerant import CorruptDataError, TolerantDataset, inspect, stand_in
from mmseq.engine.hooks import corrupt_data
from mmseq.engine.hooks.corrupt_data import CorruptDataHook, tolerate
from mmseq.engine.loader import SeededDataset


class Pictures(BaseDataset):
    METAINFO = {'classes': ('a',)}

    def load_data_list(self) -> list[dict]:
        return [{'img_path': str(path), 'height': 6, 'width': 8} for path in sorted(Path(self.data_root).iterdir())]


def load(info: dict) -> dict | None:
    with Image.open(info['img_path']) as image:
        value = int(np.asarray(image)[0, 0, 0])
    return None if value == 200 else {'value': value}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / 'pictures').mkdir()
    for number in range(20):
        Image.new('RGB', (8, 6), (number, 0, 0)).save(tmp_path / 'pictures' / f'{number:02}.png')
    return tmp_path / 'pictures'


def tolerant(folder: Path) -> TolerantDataset:
    return TolerantDataset(Pictures(data_root=str(folder), pipeline=[load]), str(folder.parent))


def test_sound_data_is_passed_through(folder: Path) -> None:
    data = tolerant(folder)
    assert [data[k]['value'] for k in range(len(data))] == list(range(20))
    assert data.metainfo['classes'] == ('a',)
    assert data.get_data_info(3)['sample_idx'] == 3
    assert not list(folder.parent.glob('*.jsonl'))


def test_a_pipeline_that_is_exchanged_in_the_middle_of_a_training(folder: Path) -> None:
    data = SeededDataset(tolerant(folder), seed=0)
    data.pipeline = lambda info: {'value': -1}
    assert data[3] == {'value': -1}


def test_a_damaged_sample_has_a_stand_in(folder: Path) -> None:
    (folder / '05.png').write_bytes(b'')
    data = tolerant(folder)
    other = stand_in(5, 0, 20)
    assert other != 5
    assert data[5]['value'] == other
    assert data.counts[0].tolist() == [1, 1]
    (line,) = (folder.parent / 'corrupt_files_rank0.jsonl').read_text().splitlines()
    assert json.loads(line) == {
        'index': 5,
        'tried': 5,
        'kind': 'zero_bytes',
        'message': f'{folder / "05.png"}: is empty (0 bytes); fetch it again',
    }


def test_another_size_is_damage(folder: Path) -> None:
    Image.new('RGB', (8, 7)).save(folder / '05.png')
    data = tolerant(folder)
    data[5]
    assert '7 x 8 (height x width), but its annotations are for 6 x 8' in Path(data.record).read_text()


def test_a_pipeline_that_gives_nothing_is_no_damage(folder: Path) -> None:
    Image.new('RGB', (8, 6), (200, 0, 0)).save(folder / '05.png')
    data = tolerant(folder)
    assert data[5]['value'] != 200
    assert data.counts[0].tolist() == [1, 0]


def test_nothing_but_damage_ends(folder: Path) -> None:
    for path in folder.iterdir():
        path.write_bytes(b'no image')
    with pytest.raises(CorruptDataError, match='100 samples in a row cannot be used; the last one: .*png'):
        tolerant(folder)[0]
    loader = torch.utils.data.DataLoader(tolerant(folder), num_workers=1)
    with pytest.raises(CorruptDataError) as error:
        next(iter(loader))
    assert '\n' not in str(error.value)
    assert str(error.value).startswith('training data: 100 samples')


def test_copies_share_their_counts(folder: Path) -> None:
    data = copy.deepcopy(tolerant(folder))
    assert data.counts.is_shared()
    assert data[3]['value'] == 3


def test_unusual_ends_are_decoded_before_they_are_damage(folder: Path) -> None:
    """Cameras and editors leave bytes behind the end of a JPEG, which all decoders pass over."""
    image = folder / '05.png'
    Image.new('RGB', (8, 6), (5, 0, 0)).save(image, 'JPEG')
    whole = image.read_bytes()
    image.write_bytes(whole + b'trailer')
    inspect({'height': 6, 'width': 8}, {'img_path': str(image)})
    image.write_bytes(whole[:-2])
    with pytest.raises(ValueError, match='truncated'):
        inspect({}, {'img_path': str(image)})


def test_plain_data_sets_on_a_local_disk_are_wrapped_once() -> None:
    plain = dict(type='mmdet.CocoDataset', ann_file='x')
    cfg = Config(
        dict(
            work_dir='out',
            train_dataloader=dict(
                dataset=dict(
                    type='mmdet.ConcatDataset', datasets=[plain, dict(plain, backend_args=dict(backend='petrel'))]
                )
            ),
        )
    )
    for _ in range(2):
        tolerate(cfg)
        first, second = cfg.train_dataloader.dataset.datasets
        assert first == dict(type='mmseq.TolerantDataset', dataset=plain, record_dir='out')
        assert second.type == 'mmdet.CocoDataset'
    unscoped = dict(type='CocoDataset', ann_file='x')
    cfg = Config(
        dict(
            default_scope='mmdet',
            work_dir='out',
            train_dataloader=dict(dataset=dict(type='RepeatDataset', times=2, dataset=unscoped)),
        )
    )
    tolerate(cfg)
    assert cfg.train_dataloader.dataset.dataset.type == 'mmseq.TolerantDataset'


def runner_of(data: TolerantDataset) -> SimpleNamespace:
    said: list[str] = []
    scalars: dict[str, float] = {}
    return SimpleNamespace(
        iter=0,
        said=said,
        scalars=scalars,
        train_dataloader=SimpleNamespace(dataset=data),
        logger=SimpleNamespace(warning=said.append, info=said.append),
        message_hub=SimpleNamespace(update_scalar=scalars.__setitem__),
    )


def test_hook_names_counts_and_ends_for_all_processes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / '05.png').write_bytes(b'')
    data = tolerant(folder)
    runner = runner_of(data)
    hook = CorruptDataHook(allowed=4, max_share=0.0, interval=2)
    # The other rank has skipped as much.
    monkeypatch.setattr(corrupt_data, 'all_gather', lambda counts: [counts, counts])
    for iteration in range(6):
        runner.iter = iteration
        data[5]
        if iteration < 3:
            hook.after_train_iter(runner, iteration)
    assert [text.split(':')[0] for text in runner.said] == ['skipped a corrupt file'] * 2 + [
        'corrupt samples skipped so far',
        'skipped a corrupt file',
    ]
    assert '4 of 4 (rank 0: 2 of 2, rank 1: 2 of 2)' in runner.said[2]
    assert runner.scalars == {'train/corrupt': 4}
    runner.iter = 3
    with pytest.raises(CorruptDataError, match='12 of 12 samples are corrupt, more than 4 and 0.0% of them'):
        hook.after_train_iter(runner, 3)


def test_hook_reads_on_behind_a_line_that_a_kill_has_torn(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = folder.parent / 'corrupt_files_rank0.jsonl'
    record.write_text('{"index": 5, "tri')
    (folder / '05.png').write_bytes(b'')
    data = tolerant(folder)
    runner = runner_of(data)
    monkeypatch.setattr(corrupt_data, 'all_gather', lambda counts: [counts])
    data[5]
    CorruptDataHook(allowed=4).after_train_iter(runner, 0)
    assert runner.said == [f'skipped a corrupt file: {folder / "05.png"}: is empty (0 bytes); fetch it again']
    assert len(record.read_text().splitlines()) == 2


def test_hook_passes_over_other_data() -> None:
    runner = runner_of(ConfigDict())
    runner.train_dataloader.dataset = [1, 2]
    CorruptDataHook().after_train_iter(runner, 0)
    assert runner.said == []

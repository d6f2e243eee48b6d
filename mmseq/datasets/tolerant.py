"""Training data with damaged files in it: they are skipped, named and counted, and too many end the run."""

import copy
import hashlib
import os
from typing import Any

import torch
from mmengine.dataset import BaseDataset
from mmengine.dist import get_rank
from torch.utils.data import Dataset, get_worker_info

from mmseq.datasets.checks.images import DamagedFileError, Header, decode, glance
from mmseq.errors import InputError
from mmseq.files import append_json_line
from mmseq.registry import DATASETS

# Worker processes of one loader that count for themselves; more share a place.
PLACES = 256
# Unusable samples in a row, each drawn from the whole data set, after which there is no hope.
ATTEMPTS = 100
# What a tolerant data set has beside all that is its data set's.
OWN = frozenset(('dataset', 'record', 'record_start', 'counts'))


class CorruptDataError(InputError):
    """Too much of the training data cannot be read.

    torch hands on what a worker raises with the whole traceback as its text; the user gets the last line, ours.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message.rstrip().rpartition('\n')[2].removeprefix(f'{__name__}.CorruptDataError: '))


@DATASETS.register_module()
class TolerantDataset(Dataset[Any]):
    """A data set that takes another sample where a file is missing, torn, no image or of another size.

    Which one is a function of the index and of the files alone, so that a resumed run and one with other workers see
    the same data. An error of the pipeline over sound files is raised as ever: it is no fault of the data.

    Every sample's files are looked at before they are loaded: the last bytes, the size in the header against the one
    in the annotations or of the label map. That costs less than 0.1 ms a sample; a file is decoded a second time only
    if its last bytes are unusual or the pipeline fails.

    Args:
        dataset: config of a data set whose class inherits from mmengine's BaseDataset, its files on a local disk.
        record_dir: folder of ``corrupt_files_rank<rank>.jsonl``, which gets a line of JSON per skipped sample.
    """

    def __init__(self, dataset: dict[str, Any] | BaseDataset, record_dir: str) -> None:
        self.dataset = DATASETS.build(dataset) if isinstance(dataset, dict) else dataset
        self.record = os.path.join(record_dir, f'corrupt_files_rank{get_rank()}.jsonl')
        # What is there already is of a run before this one.
        self.record_start = os.path.getsize(self.record) if os.path.exists(self.record) else 0
        # Samples loaded and samples skipped, by worker; shared with the workers, each of which writes its own place.
        self.counts = torch.zeros(PLACES, 2, dtype=torch.int64).share_memory_()

    def __getattr__(self, name: str) -> Any:
        # Samplers and wrappers of upstream ask a data set for much: metainfo, get_data_info, get_cat_ids and more.
        if name == 'dataset' or name.startswith('__'):
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def __setattr__(self, name: str, value: Any) -> None:
        # Upstream's PipelineSwitchHook gives a data set another pipeline in the middle of a training.
        if name in OWN:
            super().__setattr__(name, value)
        else:
            setattr(self.dataset, name, value)

    def __deepcopy__(self, memo: dict[int, Any]) -> 'TolerantDataset':
        # mmengine copies a data set that it is given ready-made, and torch's copy would not be shared.
        return TolerantDataset(copy.deepcopy(self.dataset, memo), os.path.dirname(self.record))

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        """The sample at `index`, or the one that stands in for it.

        Raises:
            CorruptDataError: 100 samples in a row cannot be used.
        """
        worker = get_worker_info()
        mine = self.counts[(worker.id if worker else 0) % PLACES]
        mine[0] += 1
        current, damage = index, None
        for attempt in range(ATTEMPTS):
            info = self.dataset.get_data_info(current)
            try:
                data = self._load(info)
            except DamagedFileError as error:
                damage = error
                mine[1] += 1
                self._write(index, current, error)
                current = stand_in(index, attempt, len(self))
                continue
            if data is not None:
                return data
            # As upstream does where a pipeline finds nothing to train on.
            current = self.dataset._rand_another()
        reason = f'the last one: {damage}' if damage else 'its pipeline gave nothing for any of them; correct it'
        raise CorruptDataError(f'training data: {ATTEMPTS} samples in a row cannot be used; {reason}')

    def _load(self, info: dict[str, Any]) -> Any:
        paths = files_of(info)
        inspect(info, paths)
        try:
            return self.dataset.pipeline(info)
        except Exception:
            for key, path in paths.items():
                decode(path, labels=key != 'img_path')
            raise

    def _write(self, index: int, current: int, error: DamagedFileError) -> None:
        # One write below a page is whole, whatever other workers write.
        about = dict(index=int(index), tried=int(current), kind=error.kind, message=str(error))
        append_json_line(self.record, about)


def files_of(info: dict[str, Any]) -> dict[str, str]:
    """The image files of a sample by their key in it."""
    return {key: info[key] for key in ('img_path', 'seg_map_path') if isinstance(info.get(key), str)}


def inspect(info: dict[str, Any], paths: dict[str, str]) -> None:
    """Look at the ends and headers of a sample's files.

    Raises:
        DamagedFileError: one is missing, empty, torn, or of another size than its annotations.
    """
    try:
        _compare(info, paths, {key: glance(path) for key, path in paths.items()})
    except DamagedFileError as error:
        if error.kind != 'wrong_size':
            raise
        # A header alone may not say that a picture is turned.
        _compare(info, paths, {key: decode(path, labels=key != 'img_path')[0] for key, path in paths.items()})


def _compare(info: dict[str, Any], paths: dict[str, str], headers: dict[str, Header | None]) -> None:
    image, labels = headers.get('img_path'), headers.get('seg_map_path')
    if image is None:
        return
    size = (image.height, image.width)
    wanted = (info['height'], info['width']) if 'height' in info and 'width' in info else size
    if labels is not None:
        wanted = (labels.height, labels.width)
    if size != tuple(wanted):
        raise DamagedFileError(
            'wrong_size',
            f'{paths["img_path"]}: is {size[0]} x {size[1]} (height x width), but its annotations are for '
            f'{wanted[0]} x {wanted[1]}; use the image they were drawn on',
        )


def stand_in(index: int, attempt: int, length: int) -> int:
    """The index of the sample that is taken instead: spread over the data set, the same in every process."""
    digest = hashlib.blake2b(f'{index}/{attempt}'.encode(), digest_size=8).digest()
    return int.from_bytes(digest, 'big') % length

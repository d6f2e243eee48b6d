"""What large annotation files cost: the check before a training, and the memory of its processes.

    python -m benchmarks.coco_size data/coco/annotations/instances_val2017.json 118287 build/coco.json \\
        --images data/coco/val2017 --links build/coco
    python -m benchmarks.annotations build/coco.json build/coco --processes 2 4

The check is measured as it is, and with the file read as a whole by Python's own reader, each in a process of its own.
Then processes of one machine each load the file with mmdet's data set, one after another, and read samples in workers.
Memory is PSS of them and of their workers: what several share is divided among them. Adds to
benchmarks/results/annotations.json.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mmseq.files import write_json

RESULT = Path(__file__).parent / 'results' / 'annotations.json'
SIDES = ('pieces', 'whole')
# Samples that each worker reads.
READ = 2000


def check(file: Path, images: Path, whole: bool) -> dict[str, Any]:
    """The check before a training, in this process."""
    from mmseq.datasets.checks import Use, coco_file, examine_coco

    if whole:
        coco_file.read_in_pieces = refuse
    classes = categories(file)
    start = time.process_time()
    report = examine_coco(str(file), str(images), classes, len(classes), Use(masks=masks_are_there(file)))
    seconds = time.process_time() - start
    assert not report.errors(), report.errors()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return dict(cpu_seconds=round(seconds, 1), peak_bytes=peak, found=report.counts())


def refuse(path: str) -> None:
    raise ValueError('as a whole')


def categories(file: Path) -> list[str]:
    """Names of the classes; they stand at the beginning of files that coco_size writes."""
    with file.open() as stream:
        text = stream.read(2**20)
    rows = json.JSONDecoder().raw_decode(text, text.index('"categories": ') + len('"categories": '))[0]
    return [row['name'] for row in rows]


def masks_are_there(file: Path) -> bool:
    with file.open('rb') as stream:
        stream.seek(-(2**16), 2)
        return b'"segmentation"' in stream.read()


def hold(file: Path, rank: int, processes: int, store: Path, workers: int) -> dict[str, Any]:
    """Load the data set in this process of several; memory as upstream leaves it, freed, and shared."""
    import torch
    from mmdet.datasets import CocoDataset
    from torch.utils.data import DataLoader

    from mmseq.engine.hooks.shared_annotations import let_go, share

    torch.distributed.init_process_group('gloo', f'file://{store}', rank=rank, world_size=processes)
    empty = memory()
    for turn in range(processes):
        if turn == rank:
            began = time.process_time()
            # No pipeline: a sample is what the annotations say of it.
            dataset = CocoDataset(ann_file=str(file), data_prefix=dict(img=''), metainfo=dict(classes=categories(file)))
            seconds = time.process_time() - began
        torch.distributed.barrier()
    found = dict(bytes=len(dataset.data_bytes), load_cpu_seconds=round(seconds, 1), empty=empty)
    for name, change in (('upstream', list), ('freed', let_go), ('shared', share)):
        began = time.process_time()
        change([dataset])
        found[f'{name}_cpu_seconds'] = round(time.process_time() - began, 2)
        read = iter(DataLoader(Samples(dataset), batch_size=50, num_workers=workers, collate_fn=str))
        for _ in range(READ * workers // 50):
            next(read)
        torch.distributed.barrier()
        found[name] = memory()
        torch.distributed.barrier()
        del read
    found['peak_bytes'] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return found


class Samples:
    """The annotations of a data set as samples."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        return self.dataset.get_data_info(index)


def memory() -> int:
    """PSS of this process and its workers, in bytes."""
    import psutil

    own = psutil.Process()
    return sum(process.memory_full_info().pss for process in (own, *own.children()))


def processes(file: Path, count: int, workers: int) -> dict[str, Any]:
    """Several processes; the sums over them."""
    with TemporaryDirectory() as folder:
        command = [sys.executable, '-m', 'benchmarks.annotations', str(file), '.', '--workers', str(workers)]
        command += ['--processes', str(count), '--store', f'{folder}/store', '--rank']
        running = [subprocess.Popen([*command, str(rank)], stdout=subprocess.PIPE, text=True) for rank in range(count)]
        rows = [json.loads(process.communicate()[0].splitlines()[-1]) for process in running]
    sums = {name: sum(row[name] for row in rows) for name in ('empty', 'upstream', 'freed', 'shared')}
    return dict(processes=count, workers=workers, sums=sums, rows=rows)


def in_process(*arguments: str) -> dict[str, Any]:
    """One side of the check, in a process of its own."""
    command = [sys.executable, '-m', 'benchmarks.annotations', *arguments]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('file', type=Path, help='an annotation file of coco_size')
    parser.add_argument('images', type=Path, help='the folder of its images')
    parser.add_argument('--processes', type=int, nargs='*', default=[2, 4])
    parser.add_argument('--workers', type=int, default=2, help='of each process')
    parser.add_argument('--sides', nargs='*', default=SIDES, help='of the check')
    parser.add_argument('--out', type=Path, default=RESULT)
    parser.add_argument('--side', help=argparse.SUPPRESS)
    parser.add_argument('--rank', type=int, help=argparse.SUPPRESS)
    parser.add_argument('--store', type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        print(json.dumps(check(args.file, args.images, args.side == 'whole')))
    elif args.rank is not None:
        print(json.dumps(hold(args.file, args.rank, args.processes[0], args.store, args.workers)))
    else:
        found: dict[str, Any] = dict(megabytes=round(args.file.stat().st_size / 1e6), check={}, memory=[])
        for side in args.sides:
            found['check'][side] = in_process(str(args.file), str(args.images), '--side', side)
            keep(args.out, args.file.stem, found)
        for count in args.processes:
            found['memory'].append(processes(args.file, count, args.workers))
            keep(args.out, args.file.stem, found)


def keep(path: Path, name: str, found: dict[str, Any]) -> None:
    """Print what is found of a file, and write it beside what is kept of others."""
    print(json.dumps(found), flush=True)
    kept = json.loads(path.read_text()) if path.exists() else {}
    write_json(path, kept | {name: found})


if __name__ == '__main__':
    main()

"""Out of memory: which knob to turn, with what the config has there now."""

import re
from collections.abc import Iterator
from typing import Any

from mmseq.explain.work import Work
from mmseq.nested import walk_named
from mmseq.ranks import world_size

GPU = re.compile(r'CUDA out of memory|HIP out of memory|CUBLAS_STATUS_ALLOC_FAILED|CUDNN_STATUS_ALLOC_FAILED')
# torch's allocator on the CPU, and numpy's.
CPU = re.compile(r"DefaultCPUAllocator: (?:can't allocate|not enough) memory|Unable to allocate")
# A process of the data loader that the kernel has ended.
WORKER = re.compile(r'DataLoader worker \(pid\S* [\d, ]+\) (?:is killed by signal: Killed|exited unexpectedly)')
SHARED = re.compile(r'Bus error|insufficient shared memory|unable to (?:open|mmap|write).*shared memory|No space.*shm')
ASKED = re.compile(r'[Tt]ried to allocate ([\d.]+ ?\w+)|allocate ([\d.]+ \w?iB)')
HOLDS = re.compile(r'total capacity of ([\d.]+ \w+)')


def explain(error: BaseException, work: Work) -> str | None:
    """What to lower or to switch on; None if there is memory enough."""
    text = str(error)
    if SHARED.search(text):
        return (
            f'out of shared memory, through which workers hand images over: lower {loader(work, error)}.num_workers'
            f'{now(work, f"{loader(work, error)}.num_workers")}, or give a container more (docker run --shm-size 8g)'
        )
    if WORKER.search(text):
        return (
            f'a worker of the data loader has died; the system ends one when main memory is full: lower '
            f'{loader(work, error)}.num_workers{now(work, f"{loader(work, error)}.num_workers")}'
        )
    gpu = bool(GPU.search(text))
    if not gpu and not CPU.search(text) and not isinstance(error, MemoryError):
        return None
    what = 'evaluation' if evaluates(error) else work.what
    knobs = list(training(work) if what == 'training' else inferring(work, what, error))
    advice = '; or '.join(knobs) or 'smaller images, or a machine with more'
    return f'out of {"GPU" if gpu else "main"} memory in {what}{amount(text)}: {advice}'


def amount(text: str) -> str:
    """How much was asked for, and how much there is, as far as the error says."""
    asked, holds = ASKED.search(text), HOLDS.search(text)
    parts = []
    if asked:
        size = asked[1] or asked[2]
        if size.endswith('bytes'):
            size = f'{int(size.split()[0]) / 2**30:.1f} GiB'
        parts.append(f'{size} more were asked for')
    if holds:
        parts.append(f'of {holds[1]} in all')
    return f' ({" ".join(parts)})' if parts else ''


def training(work: Work) -> Iterator[str]:
    """What makes a training smaller, that with the least loss first."""
    wrapper = str(work.get('optim_wrapper.type'))
    if 'Amp' not in wrapper and 'Bfloat16' not in wrapper:
        yield 'train with --amp'
    if work.get('model.backbone') is not None and not work.get('model.backbone.with_cp'):
        yield 'set model.backbone.with_cp=True, which computes parts again in place of keeping them'
    batch = work.get('train_dataloader.batch_size')
    if isinstance(batch, int) and batch > 1:
        yield (
            f'lower train_dataloader.batch_size={batch} (optim_wrapper.accumulative_counts=N adds up N iterations to '
            'one update)'
        )
    if world_size() > 1 and 'FullySharded' not in str(work.get('model_wrapper_cfg.type')):
        yield 'divide weights and gradients with --shard fsdp'
    yield from image_size(work, 'train_dataloader')


def inferring(work: Work, what: str, error: BaseException) -> Iterator[str]:
    """What makes an evaluation or an inference smaller."""
    name = loader(work, error)
    batch = work.get(f'{name}.batch_size')
    if what == 'evaluation' and isinstance(batch, int) and batch > 1:
        yield f'lower {name}.batch_size={batch}'
    if work.get('model.decode_head') is not None:
        if work.get('model.test_cfg.mode') != 'slide':
            crops = [node['crop_size'] for _, node in walk_named(work.get('train_dataloader')) if 'crop_size' in node]
            side = list(crops[0]) if crops and isinstance(crops[0], (list, tuple)) else [512, 512]
            yield (
                'infer in windows: model.type=mmseq.SlidingEncoderDecoder model.test_cfg.mode=slide '
                f'model.test_cfg.crop_size={written(side)} '
                f'model.test_cfg.stride={written([2 * pixels // 3 for pixels in side])}'
            )
        elif work.get('model.type') != 'mmseq.SlidingEncoderDecoder':
            yield 'keep only what windows share: model.type=mmseq.SlidingEncoderDecoder'
    most = work.get('model.test_cfg.rcnn.max_per_img')
    if work.get('model.roi_head.mask_head') is not None and most:
        yield f'lower model.test_cfg.rcnn.max_per_img={most}, since each mask is as large as the image'
    yield from image_size(work, name)


def image_size(work: Work, name: str) -> Iterator[str]:
    """The step of a pipeline that decides how large images become."""
    steps = [*walk_named(work.get(f'{name}.dataset'), f'{name}.dataset'), *walk_named(work.get('test_pipeline'))]
    for wanted in ('crop_size', 'scale', 'scales'):
        for key, node in steps:
            if node.get(wanted):
                yield f'smaller images: {key}.{wanted}={written(node[wanted])}'
                return


def written(value: Any) -> str:
    """A value as --cfg-options takes it."""
    return str(value).replace(' ', '')


def now(work: Work, key: str) -> str:
    """What the config has there now."""
    value = work.get(key)
    return '' if value is None else f'={value}'


def loader(work: Work, error: BaseException) -> str:
    """The data loader that was at work."""
    if work.what == 'training':
        return 'val_dataloader' if evaluates(error) else 'train_dataloader'
    return 'test_dataloader'


def evaluates(error: BaseException) -> bool:
    """Whether it was raised in a loop over validation or test data, which a training runs now and then."""
    traceback = error.__traceback__
    while traceback is not None:
        owner = traceback.tb_frame.f_locals.get('self')
        if {'ValLoop', 'TestLoop'} & {base.__name__ for base in type(owner).__mro__}:
            return True
        traceback = traceback.tb_next
    return False

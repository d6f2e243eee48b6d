"""Out of memory: the settings that need less, with their current values."""

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
    """The advice for a lack of memory; None if the error is another one."""
    text = str(error)
    key = f'{loader_in_use(work, error)}.num_workers'
    if SHARED.search(text):
        return (
            f'out of shared memory, through which workers hand images over: lower {key}{current_value(work, key)}, or '
            'give a container more (docker run --shm-size 8g)'
        )
    if WORKER.search(text):
        return (
            'a worker of the data loader has died; the system ends one when main memory is full: lower '
            f'{key}{current_value(work, key)}'
        )
    gpu = bool(GPU.search(text))
    if not gpu and not CPU.search(text) and not isinstance(error, MemoryError):
        return None
    what = 'evaluation' if raised_in_evaluation(error) else work.what
    knobs = list(training_savings(work, gpu) if what == 'training' else inference_savings(work, what, error))
    advice = '; or '.join(knobs) or 'smaller images, or a machine with more'
    return f'out of {"GPU" if gpu else "main"} memory in {what}{requested_and_total(text)}: {advice}'


def requested_and_total(text: str) -> str:
    """How much memory was requested and how much there is, as far as the error has it."""
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


def training_savings(work: Work, gpu: bool) -> Iterator[str]:
    """Settings with which a training needs less memory, the least harmful first."""
    # Commands import this module before they decide how torch's threads wait, which torch reads when it is loaded.
    from mmseq.compat.bfloat16 import bfloat16_problem

    wrapper = str(work.get('optim_wrapper.type'))
    if 'Amp' not in wrapper and 'Bfloat16' not in wrapper and (gpu or not bfloat16_problem('cpu')):
        yield 'train with --amp'
    if work.get('model.backbone') is not None and not work.get('model.backbone.with_cp'):
        yield 'set model.backbone.with_cp=True, which recomputes activations instead of keeping them'
    batch = work.get('train_dataloader.batch_size')
    if isinstance(batch, int) and batch > 1:
        yield (
            f'lower train_dataloader.batch_size={batch} (optim_wrapper.accumulative_counts=N adds up N iterations to '
            'one update)'
        )
    if world_size() > 1 and 'FullySharded' not in str(work.get('model_wrapper_cfg.type')):
        yield 'divide weights and gradients with --shard fsdp'
    yield from size_setting(work, 'train_dataloader')


def inference_savings(work: Work, what: str, error: BaseException) -> Iterator[str]:
    """Settings with which an evaluation or an inference needs less memory."""
    name = loader_in_use(work, error)
    batch = work.get(f'{name}.batch_size')
    if what == 'evaluation' and isinstance(batch, int) and batch > 1:
        yield f'lower {name}.batch_size={batch}'
    if what == 'inference':
        yield 'predict in tiles: mmseq infer ... --tiles 1024, in Python tiles=1024'
    elif work.get('model.decode_head') is not None:
        if work.get('model.test_cfg.mode') != 'slide':
            crops = [node['crop_size'] for _, node in walk_named(work.get('train_dataloader')) if 'crop_size' in node]
            side = list(crops[0]) if crops and isinstance(crops[0], (list, tuple)) else [512, 512]
            yield (
                'infer in windows: model.type=mmseq.SlidingEncoderDecoder model.test_cfg.mode=slide '
                f'model.test_cfg.crop_size={option_text(side)} '
                f'model.test_cfg.stride={option_text([2 * pixels // 3 for pixels in side])}'
            )
        elif work.get('model.type') != 'mmseq.SlidingEncoderDecoder':
            yield 'keep only what windows share: model.type=mmseq.SlidingEncoderDecoder'
    most = work.get('model.test_cfg.rcnn.max_per_img')
    if work.get('model.roi_head.mask_head') is not None and most:
        yield f'lower model.test_cfg.rcnn.max_per_img={most}, since each mask is as large as the image'
    yield from size_setting(work, name)


def size_setting(work: Work, name: str) -> Iterator[str]:
    """The step of a pipeline that decides how large images become."""
    steps = [*walk_named(work.get(f'{name}.dataset'), f'{name}.dataset'), *walk_named(work.get('test_pipeline'))]
    for wanted in ('crop_size', 'scale', 'scales'):
        for key, node in steps:
            if node.get(wanted):
                yield f'smaller images: {key}.{wanted}={option_text(node[wanted])}'
                return


def option_text(value: Any) -> str:
    """A value as --cfg-options takes it."""
    return str(value).replace(' ', '')


def current_value(work: Work, key: str) -> str:
    """``=VALUE`` of a key of the config; empty if it is not set."""
    value = work.get(key)
    return '' if value is None else f'={value}'


def loader_in_use(work: Work, error: BaseException) -> str:
    """The key of the data loader that was in use."""
    if work.what == 'training':
        return 'val_dataloader' if raised_in_evaluation(error) else 'train_dataloader'
    return 'test_dataloader'


def raised_in_evaluation(error: BaseException) -> bool:
    """Whether it was raised in a loop over validation or test data, or in the trial of one before a training."""
    traceback = error.__traceback__
    while traceback is not None:
        owner = traceback.tb_frame.f_locals.get('self')
        if {'ValLoop', 'TestLoop', 'TrialHook'} & {base.__name__ for base in type(owner).__mro__}:
            return True
        traceback = traceback.tb_next
    return False

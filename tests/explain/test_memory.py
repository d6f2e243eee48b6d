"""Out of memory: the message turns to what was running, and to what its config has."""

import pytest
import torch
from mmengine.config import Config
from mmengine.runner.loops import BaseLoop

from mmseq.config import load_config
from mmseq.explain import explain, memory
from mmseq.explain.work import Work

GPU = (
    'CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 23.64 GiB of which 1.10 GiB is free.'
)
SEGMENTOR, DETECTOR = 'configs/upernet_seq2d_s_ade20k.py', 'configs/mask_rcnn_seq2d_s_coco.py'


def message(what, config, error=None, **options):
    cfg = load_config(config, options)
    return str(explain(error or torch.OutOfMemoryError(GPU), Work(what, config, cfg)))


def test_training_names_each_knob_and_what_it_is_now():
    text = message('training', SEGMENTOR)
    assert text.startswith(
        f'config {SEGMENTOR}: out of GPU memory in training (2.50 GiB more were asked for of 23.64 GiB'
    )
    for knob in ('--amp', 'model.backbone.with_cp=True', 'train_dataloader.batch_size=2', 'crop_size=(512,512)'):
        assert knob in text
    assert '--shard' not in text
    assert '\n' not in text


def test_knobs_that_are_turned_already_are_left_out(monkeypatch):
    monkeypatch.setenv('WORLD_SIZE', '2')
    monkeypatch.setenv('RANK', '1')
    options = {
        'optim_wrapper.type': 'mmseq.Bfloat16OptimWrapper',
        'model.backbone.with_cp': True,
        'train_dataloader.batch_size': 1,
    }
    text = message('training', DETECTOR, **options)
    assert text.startswith('rank 1: config ')
    for knob in ('--amp', 'with_cp', 'batch_size'):
        assert knob not in text
    assert '--shard fsdp' in text
    assert 'scale=(1333,800)' in text


def test_segmentors_are_sent_to_sliding_windows_step_by_step():
    slide = {
        'model.test_cfg.mode': 'slide',
        'model.test_cfg.crop_size': (512, 512),
        'model.test_cfg.stride': (341, 341),
    }
    text = message('evaluation', SEGMENTOR)
    assert 'model.type=mmseq.SlidingEncoderDecoder model.test_cfg.mode=slide' in text
    assert 'model.test_cfg.crop_size=[512,512] model.test_cfg.stride=[341,341]' in text
    text = message('evaluation', SEGMENTOR, **slide)
    assert 'model.type=mmseq.SlidingEncoderDecoder' in text
    assert 'mode=slide' not in text
    assert 'Sliding' not in message('evaluation', SEGMENTOR, **slide, **{'model.type': 'mmseq.SlidingEncoderDecoder'})


def test_the_advice_for_windows_is_a_config_that_builds():
    from mmseq.model.trained import load_trained

    config = 'configs/upernet_seq2d_nano_shapes.py'
    text = message('evaluation', config)
    advised = text.partition('infer in windows: ')[2].partition(';')[0].split()
    values = dict(option.split('=') for option in advised)
    crop = [int(side) for side in values['model.test_cfg.crop_size'].strip('[]').split(',')]
    options = {**values, 'model.test_cfg.crop_size': crop, 'model.test_cfg.stride': crop}
    _, model = load_trained(config, None, options=options, device='cpu')
    assert type(model).__name__ == 'SlidingEncoderDecoder'


def test_detectors_are_sent_to_masks_and_scales():
    text = message('evaluation', DETECTOR)
    assert 'model.test_cfg.rcnn.max_per_img=100' in text
    assert 'test_dataloader.dataset.pipeline.1.scale=(1333,800)' in text
    assert '--amp' not in text


@pytest.mark.parametrize(
    'error',
    [
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:126] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to "
            'allocate 8589934592 bytes. Error code 12 (Cannot allocate memory)'
        ),
        MemoryError('Unable to allocate 8.0 GiB for an array with shape (32768, 32768) and data type float64'),
    ],
)
def test_main_memory(error):
    text = message('training', SEGMENTOR, error)
    assert 'out of main memory in training (8.0 GiB more were asked for)' in text


@pytest.mark.parametrize('problem', [None, 'emulated'])
def test_bfloat16_is_advised_where_the_processor_has_it(problem, monkeypatch):
    monkeypatch.setattr('mmseq.compat.bfloat16.bfloat16_problem', lambda device: problem)
    text = message('training', SEGMENTOR, MemoryError('Unable to allocate 8.0 GiB for an array'))
    assert ('--amp' in text) == (problem is None)


def test_real_failures_of_the_allocators_are_recognised():
    import numpy as np

    for allocate in (lambda: torch.empty(2**60, dtype=torch.uint8), lambda: np.empty(2**60, dtype=np.uint8)):
        with pytest.raises((RuntimeError, MemoryError)) as error:
            allocate()
        assert 'out of main memory in inference' in memory.explain(error.value, Work('inference', '', Config()))


def test_workers_and_shared_memory():
    killed = RuntimeError('DataLoader worker (pid 4321) is killed by signal: Killed. ')
    assert 'lower train_dataloader.num_workers=' in message('training', SEGMENTOR, killed)
    gone = RuntimeError('DataLoader worker (pid(s) 4321, 4322) exited unexpectedly')
    assert 'lower test_dataloader.num_workers=' in message('evaluation', SEGMENTOR, gone)
    bus = RuntimeError(
        "DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that dataloader's workers are out of "
        'shared memory. Please try to raise your shared memory limit.'
    )
    assert 'docker run --shm-size' in message('training', SEGMENTOR, bus)


def test_validation_within_a_training_is_an_evaluation():
    class ValLoop(BaseLoop):
        def __init__(self):
            pass

        def run(self):
            raise torch.OutOfMemoryError(GPU)

    with pytest.raises(torch.OutOfMemoryError) as error:
        ValLoop().run()
    text = message('training', SEGMENTOR, error.value)
    assert 'in evaluation' in text
    assert 'SlidingEncoderDecoder' in text


def test_other_errors_are_not_explained():
    for error in (RuntimeError('shape mismatch'), ValueError('no'), KeyError('x')):
        assert explain(error, Work('training', '', Config())) is None

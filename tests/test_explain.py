"""Frequent mistakes, made with real configs on real runs: each is one line that names the place and what to do."""

import errno
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from mmengine.config import Config

from mmseq.cli import run
from mmseq.cli.main import main
from mmseq.compat.bfloat16 import bfloat16_problem
from mmseq.datasets.shapes import generate
from mmseq.errors import InputError, ProcessError
from mmseq.explain import explaining
from mmseq.explain.work import NO_CONFIG

SEG, DET = 'mmseq::upernet_seq2d_nano_shapes', 'mmseq::mask_rcnn_seq2d_nano_shapes'
TWO = ('train_cfg.max_iters=2', 'train_cfg.val_interval=2', 'default_hooks.checkpoint.interval=2')


@pytest.fixture(autouse=True, scope='module')
def _configs_are_not_laid_out():
    """mmengine lays out each config thrice, for its log and its file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Config, 'pretty_text', property(lambda cfg: ''))
        yield


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    """A folder of a user's, far from this repository, with a small data set."""
    generate(tmp_path / 'data' / 'shapes', train=4, val=2, seed=0)
    monkeypatch.setenv('MMSEQ_DATA', str(tmp_path / 'data'))
    monkeypatch.chdir(tmp_path)


def fails(*arguments):
    """The line with which a command ends."""
    with pytest.raises(InputError) as error, explaining(NO_CONFIG):
        main(list(arguments))
    assert '\n' not in str(error.value)
    return str(error.value)


def write(name, text, base=SEG):
    Path(name).write_text(f"_base_ = '{base}.py'\n{text}\n")
    return name


@pytest.mark.parametrize(
    'option,message',
    [
        ('model.backbone.type=mmseq.Sequencer2d', 'mmseg::model registry; nearest: mmseq.Sequencer2D'),
        ('model.backbone.type=Sequencer2D', 'write mmseq.Sequencer2D'),
        ('model.decode_head.type=UPerhead', 'nearest: mmseg.UPerHead'),
        ('model.decode_head.loss_decode.type=CrossEntropyLos', 'nearest: mmseg.CrossEntropyLoss'),
        ('model.decode_head.norm_cfg.type=BNN', 'model.decode_head.norm_cfg.type=BNN is not in the'),
        ('model.decode_head.type=RetinaHead', 'write mmdet.RetinaHead'),
        ('model.backbone.type=LoadImageFromFile', 'it is a transform, which does not go here'),
        ('model.backbone.type=mmpretrain.ConvNeXt', 'mmpretrain is not installed: pip install mmpretrain'),
        ('model.backbone.type=nowhere.Net', 'there is no package nowhere on the path'),
        ('model.backbone.type=Xyzzy', "custom_imports=dict(imports=['my_package.my_module'])"),
        ('visualizer.type=SegLocalVisualiser', 'mmseg::visualizer registry; nearest: mmseg.SegLocalVisualizer'),
        ('custom_hooks.0.type=mmseq.StrictLoad', 'custom_hooks.0.type=mmseq.StrictLoad is not in the mmseg::hook'),
        ('optim_wrapper.type=OptimWraper', 'nearest: OptimWrapper'),
        ('optim_wrapper.optimizer.type=AdamWW', 'optimizer registry; nearest: AdamW'),
        ('optim_wrapper.constructor=mmseq.LayerDecay', 'nearest: mmseq.LayerDecayOptimWrapperConstructor'),
        ('param_scheduler.0.type=LinearLr', 'nearest: LinearLR'),
        ('train_cfg.type=IterBasedTrain', 'nearest: IterBasedTrainLoop'),
        ('train_dataloader.dataset.type=ADE20k', 'mmseg::dataset registry; nearest: mmseg.ADE20KDataset'),
        ('train_dataloader.dataset.pipeline.0.type=LoadImageFromfile', 'dataset.pipeline.0.type=LoadImageFromfile is'),
        ('train_dataloader.sampler.type=InfiniteSampeler', 'nearest: InfiniteSampler'),
        ('val_dataloader.dataset.pipeline.0.type=LoadImageFromfile', 'val_dataloader.dataset.pipeline.0.type='),
        ('val_evaluator.type=IouMetric', 'nearest: mmseg.IoUMetric'),
        ('model.backbone.depth=3', 'model.backbone: mmseq.Sequencer2D takes no'),
        ('model.decode_head.chanels=3', "model.decode_head: UPerHead takes no 'chanels'; nearest: channels"),
        ('train_dataloader.dataset.pipeline.1.redue=1', 'it takes backend_args, imdecode_backend, reduce_zero_label'),
        ('optim_wrapper.optimizer.learning_rate=1', "optim_wrapper.optimizer: AdamW takes no 'learning_rate'"),
        ('train_cfg.max_epochs=3', "train_cfg: mmseq.IterLoop takes no 'max_epochs'; nearest: max_iters"),
        ('model.backbone.arch=xl', "model.backbone: mmseq.Sequencer2D cannot be built: unknown Sequencer2D arch 'xl'"),
        ('model.decode_head.in_channels=[1,2,3,4]', 'but the backbone gives [32, 64, 96, 128]; set it to that'),
        ('train_dataloader.batch_size=two', "train_dataloader.batch_size='two': expected a whole number"),
        ('optim_wrapper.optimizer.lr=1e-x', "optim_wrapper.optimizer.lr='1e-x': expected a number"),
        ('train_cfg=3', 'option train_cfg=3: there is a dict; set one of its keys: type, max_iters'),
        ('default_scope=mmsegg', 'there is no such package; expected mmdet or mmseg'),
        ('train_dataloader.persistent_workers=True', 'with num_workers=0 set persistent_workers=False'),
        ('train_dataloader.batch_size=1', 'set train_dataloader.batch_size=2 or more'),
    ],
)
def test_training(option, message):
    assert message in fails('train', SEG, '--cfg-options', option, *TWO)


@pytest.mark.parametrize('command', ['flops', 'test', 'infer', 'benchmark', 'erf'])
def test_other_commands_say_the_same(command, tmp_path):
    (tmp_path / 'x.png').write_bytes(b'')
    arguments = dict(test=['x.png'], infer=['x.png', 'x.png'], erf=['x.png']).get(command, [])
    for option in ('model.backbone.type=mmseq.Sequencer2d', 'model.decode_head.type=UPerhead'):
        message = fails(command, SEG, *arguments, '--cfg-options', option)
        assert f'config {SEG}: {option} is not in the mmseg::model registry; nearest: ' in message


def test_check_data_says_the_same():
    message = fails('check-data', SEG, '--cfg-options', 'train_dataloader.dataset.type=ADE20k')
    assert 'train_dataloader.dataset.type=ADE20k is not in the mmseg::dataset registry' in message


@pytest.mark.parametrize(
    'text,message',
    [
        ('model = dict(', "line 2: SyntaxError: '(' was never closed"),
        ('model = dict(type=EncoderDecoder)', "name 'EncoderDecoder' is not defined; text in a config needs quotes"),
        ('model = dict(decode_head=dict(num_classes={{_base_.classes_}}))', 'neither it nor its bases define classes_'),
        (
            "custom_imports = dict(imports=['my_package.heads'])",
            'there is no module my_package.heads; correct the name',
        ),
        ('model = dict(backbone=dict(_delete_=True, arch=3))', "model.backbone: {'arch': 3} has no type"),
        ("model = dict(backbone=dict(type='ResNet', depth=50))", "takes no 'out_strides'; nearest: "),
        ("model = dict(backbone=dict(type='ResNet', depth=50))", 'if a base brings it, give the dict _delete_=True'),
        (
            "model = dict(decode_head=dict(_delete_=True, type='FCNHead', num_classes=9))",
            'FCNHead needs in_channels, cha',
        ),
        ('val_evaluator = None', 'val_dataloader, val_cfg and val_evaluator belong together'),
        ("model = dict(type='MaskRCNN')", 'write mmdet.MaskRCNN and take a default_scope that is its own'),
    ],
)
def test_configs_of_ones_own(text, message):
    assert message in fails('train', write('mine.py', text))


@pytest.mark.parametrize(
    'base,message',
    [
        ('nowhere.py', '_base_: no such file: '),
        ('mmseq::nothing.py', '_base_: no such file: '),
        ('mmseg::nothing.py', '_base_: expected PACKAGE::FOLDER/FILE.py'),
        ('mmseg::swin/nothing.py', '_base_: no such file: '),
        ('mmpretrain::convnext/nothing.py', '_base_: mmpretrain is not installed: pip install mmpretrain'),
    ],
)
def test_bases(base, message):
    Path('mine.py').write_text(f"_base_ = '{base}'\n")
    assert message in fails('train', 'mine.py')


def test_two_bases_that_define_the_same():
    Path('mine.py').write_text(f"_base_ = ['{SEG}.py', '{DET}.py']\n")
    assert 'two files of its _base_ define auto_scale_lr, custom_hooks, ' in fails('train', 'mine.py')


def test_a_class_of_ones_own_is_found_in_its_file(tmp_path):
    Path('heads_of_mine').mkdir()
    Path('heads_of_mine/bright.py').write_text('class BrightHead:\n    pass\n')
    message = fails('train', SEG, '--cfg-options', 'model.decode_head.type=BrightHead')
    assert "bright.py defines it: add custom_imports=dict(imports=['heads_of_mine.bright'])" in message
    assert message.endswith(f'and start with PYTHONPATH={tmp_path}')
    message = fails('train', write('mine.py', "custom_imports = dict(imports=['heads_of_mine.bright'])"))
    assert f'heads_of_mine.bright is in {tmp_path}, where Python does not look; PYTHONPATH={tmp_path}' in message


def test_data():
    assert 'heads differ in their number of classes' in fails(
        'train', SEG, '--cfg-options', 'model.decode_head.num_classes=5'
    )
    text = "train_dataloader = dict(dataset=dict(metainfo=dict(classes=('cat', 'dog'))))"
    config = write('mine.py', text, DET)
    assert 'class names differ' in fails('train', config)
    assert 'a data set is empty' in fails('train', config, '--no-data-check')
    assert 'annotations/no.json is not there' in fails(
        'train', DET, '--no-data-check', '--cfg-options', 'train_dataloader.dataset.ann_file=annotations/no.json'
    )


def test_pipelines():
    def steps(annotations, last):
        pipeline = "[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True{}){}]"
        return f'train_dataloader = dict(dataset=dict(pipeline={pipeline.format(annotations, last)}))'

    pack = ", dict(type='Resize', scale=(160, 160)), dict(type='PackDetInputs')"
    assert 'the model wants masks that the pipeline does not load' in fails(
        'train', write('a.py', steps('', pack), DET)
    )
    assert 'a pipeline ends with PackDetInputs' in fails('train', write('b.py', steps(', with_mask=True', ''), DET))


def test_backbones_of_others_whose_channels_are_known_in_the_first_pass():
    text = "model = dict(backbone=dict(_delete_=True, type='ResNet', depth=18, out_indices={}))"
    message = fails('train', write('mine.py', text.format((0, 1, 2, 3))), '--cfg-options', *TWO)
    assert 'a layer was made for 32 channels and gets 64' in message
    message = fails('train', write('mine.py', text.format((1, 2, 3)), DET))
    assert message.endswith('mmdet.models.necks.fpn: assert len(inputs) == len(self.in_channels)')


def test_a_metric_that_the_evaluation_does_not_give():
    message = fails('train', SEG, '--cfg-options', *TWO, 'default_hooks.checkpoint.save_best=mAP')
    assert 'save_best=mAP: the evaluation gives no such metric, but aAcc, mIoU, mAcc' in message


@pytest.mark.parametrize('folder,reason', [('file', 'File exists'), ('file/below', 'Not a directory')])
def test_a_work_dir_that_cannot_be(folder, reason):
    Path('file').write_text('')
    message = fails('train', SEG, '--work-dir', folder, '--cfg-options', *TWO)
    assert f'--work-dir {folder}: cannot be written to ({reason}' in message


def test_out_of_memory_in_training_and_in_evaluation():
    divisor = 'model.data_preprocessor.pad_size_divisor=200000'
    message = fails('train', DET, '--cfg-options', divisor, 'train_dataloader.batch_size=2')
    assert 'out of main memory in training (' in message
    # Where the processor imitates bfloat16, that is no advice.
    amp = '' if bfloat16_problem('cpu') else 'train with --amp; or '
    assert f'GiB more were asked for): {amp}set model.backbone.with_cp=True' in message
    assert 'train_dataloader.batch_size=2' in message
    text = 'model = dict(data_preprocessor=dict(test_cfg=dict(size_divisor=200000)))'
    message = fails('train', write('mine.py', text), '--cfg-options', *TWO)
    assert 'out of main memory in evaluation (' in message
    assert 'model.type=mmseq.SlidingEncoderDecoder' in message


def test_from_a_shell_and_with_the_traceback(nursery, monkeypatch):
    command = [nursery.commands / 'mmseq', 'flops', SEG, '--cfg-options', 'model.decode_head.type=UPerhead']
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith('error: ')]
    assert 'nearest: mmseg.UPerHead' in line
    assert 'Traceback' not in done.stderr
    monkeypatch.setenv('MMSEQ_DEBUG', '1')
    with pytest.raises(InputError) as error:
        run(lambda: main(command[1:]))
    assert isinstance(error.value.__cause__, KeyError)


def test_launchers_that_did_not_start_this(monkeypatch):
    for name in ('RANK', 'SLURM_PROCID'):
        monkeypatch.delenv(name, raising=False)
    assert 'give --gpus N instead' in fails('train', SEG, '--launcher', 'pytorch')
    assert 'tools/slurm_train.sh' in fails('train', SEG, '--launcher', 'slurm')


def test_every_command_is_explained(capsys):
    def command():
        raise OSError(errno.ENOSPC, 'No space left on device', 'report.html')

    with pytest.raises(SystemExit) as stop:
        run(command)
    assert stop.value.code == 2
    assert 'report.html: cannot be written (No space left on device); what was saved' in capsys.readouterr().err


def test_what_one_process_met_is_said_by_it(capsys, monkeypatch):
    waited = []
    monkeypatch.setenv('RANK', '1')
    # The first process has this time to report what both have met; torchrun ends this one then.
    monkeypatch.setattr('mmseq.cli.time.sleep', lambda seconds: waited.append(capsys.readouterr().err))

    def command(kind):
        raise kind('rank 1: full')

    for kind, before in ((InputError, ['']), (ProcessError, [])):
        with pytest.raises(SystemExit):
            run(partial(command, kind))
        assert capsys.readouterr().err == 'error: rank 1: full\n'
        assert waited == before
        waited.clear()


def test_interrupted_in_one_word():
    # A shell's background jobs ignore the signal, and so would what they start.
    code = (
        'import signal; from mmseq.cli import run; signal.signal(signal.SIGINT, signal.default_int_handler); '
        'run(lambda: signal.raise_signal(signal.SIGINT))'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, 'interrupted\n')


def test_a_command_that_trains_nothing_names_its_config_too():
    steps = "[dict(type='LoadImageFromfile'), dict(type='PackSegInputs')]"
    config = write('mine.py', f'train_dataloader = dict(dataset=dict(pipeline={steps}))')
    message = fails('browse-dataset', config)
    assert message.startswith('config mine.py: train_dataloader.dataset.pipeline.0.type=LoadImageFromfile')

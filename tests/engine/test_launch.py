"""Bad input ends in one clear line before anything is trained."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from mmseq.cli import train as train_cli
from mmseq.config import load_config, read_model_config
from mmseq.datasets.shapes import generate
from mmseq.engine import launch
from mmseq.engine.preflight import check_class_counts, check_datasets, check_label_range, head_class_counts
from mmseq.engine.settings import Settings
from mmseq.engine.terminal import Terminal
from mmseq.errors import InputError
from mmseq.explain.work import Work
from mmseq.nested import walk

ROOT = Path(__file__).parents[2]
SEG = str(ROOT / 'configs' / 'upernet_seq2d_nano_shapes.py')
DET = str(ROOT / 'configs' / 'mask_rcnn_seq2d_nano_shapes.py')


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A small set of shapes of this test's own; returns its root."""
    generate(tmp_path / 'shapes', train=4, val=2, seed=0)
    monkeypatch.setenv('MMSEQ_DATA', str(tmp_path))
    return tmp_path / 'shapes'


def fails(tmp_path, *arguments):
    """The message with which training refuses to start."""
    with pytest.raises(InputError) as error:
        train_cli.main([*arguments, '--work-dir', str(tmp_path / 'out')])
    assert '\n' not in str(error.value)
    assert not list((tmp_path / 'out').rglob('*.pth'))
    return str(error.value)


def test_missing_config(tmp_path):
    assert fails(tmp_path, 'configs/none.py') == 'config configs/none.py: no such file, work dir or checkpoint'


def test_broken_config(tmp_path):
    (tmp_path / 'broken.py').write_text("_base_ = []\nmodel = dict(type='X'\n")
    assert 'broken.py: line 2: SyntaxError' in fails(tmp_path, str(tmp_path / 'broken.py'))
    (tmp_path / 'orphan.py').write_text("_base_ = 'nowhere.py'\n")
    assert 'nowhere.py' in fails(tmp_path, str(tmp_path / 'orphan.py'))


def test_part_of_a_config(tmp_path):
    assert 'defines no model' in fails(tmp_path, str(ROOT / 'configs/_base_/schedules/coco_1x.py'))


@pytest.mark.parametrize(
    'option,message',
    [
        ('model.backbon.arch=m', "model has no 'backbon'; nearest: backbone"),
        ('model=None', 'defines no model; name a config'),
        ('train_dataloadr.batch_size=2', "the config has no 'train_dataloadr'; nearest: train_dataloader"),
        ('custom_hooks.19.type=X', "'19' is no index of a list of"),
    ],
)
def test_option_for_nothing(tmp_path, option, message):
    assert message in fails(tmp_path, SEG, '--cfg-options', option)


def test_unknown_flag_is_refused_by_the_parser(tmp_path):
    with pytest.raises(SystemExit) as stop:
        train_cli.main([SEG, '--frobnicate'])
    assert stop.value.code == 2


def test_unknown_type_and_argument_name_what_is_near(tmp_path, data):
    assert 'nearest: mmseq.Sequencer2D' in fails(
        tmp_path, SEG, '--cfg-options', 'model.backbone.type=mmseq.Sequencer2d'
    )
    assert "mmseq.Sequencer2D takes no 'depth'" in fails(tmp_path, SEG, '--cfg-options', 'model.backbone.depth=3')


def test_missing_data_root(tmp_path, monkeypatch):
    monkeypatch.setenv('MMSEQ_DATA', str(tmp_path / 'nowhere'))
    for config in (SEG, DET):
        message = fails(tmp_path, config)
        assert str(tmp_path / 'nowhere') in message
        assert 'MMSEQ_DATA' in message


def test_annotations_that_name_absent_images(tmp_path, data):
    image = next((data / 'coco' / 'train2017').iterdir())
    image.unlink()
    message = fails(tmp_path, DET)
    assert image.name in message
    assert '1 of the 4' in message


def test_label_value_beyond_the_classes(tmp_path, data):
    label = next((data / 'ade/ADEChallengeData2016/annotations/training').iterdir())
    Image.fromarray(np.full_like(np.asarray(Image.open(label)), 77)).save(label)
    message = fails(tmp_path, SEG)
    assert label.name in message
    assert '77' in message


def test_class_count_that_differs_from_the_head(tmp_path, data):
    assert 'model.auxiliary_head.num_classes=9' in fails(
        tmp_path, SEG, '--cfg-options', 'model.decode_head.num_classes=7'
    )
    both = ['model.decode_head.num_classes=7', 'model.auxiliary_head.num_classes=7']
    assert '9' in fails(tmp_path, SEG, '--cfg-options', *both)
    heads = [f'model.roi_head.{head}.num_classes=80' for head in ('bbox_head', 'mask_head')]
    message = fails(tmp_path, DET, '--cfg-options', *heads)
    assert '8' in message
    assert '80' in message


def test_category_names_that_differ(tmp_path, data):
    path = data / 'coco/annotations/instances_train2017.json'
    content = json.loads(path.read_text())
    content['categories'][0]['name'] = 'blob'
    path.write_text(json.dumps(content))
    assert 'circle' in fails(tmp_path, DET)


def test_foreign_backbone_weights(tmp_path, data):
    torch.save({'layer1.0.conv1.weight': torch.zeros(1)}, tmp_path / 'resnet.pth')
    options = [
        f'model.backbone.init_cfg.checkpoint={tmp_path / "resnet.pth"}',
        'model.backbone.init_cfg.type=Pretrained',
    ]
    assert 'it looks like ResNet' in fails(tmp_path, SEG, '--cfg-options', *options)


@pytest.mark.parametrize('own', ['', "custom_hooks = [dict(type='EMAHook')]", 'custom_hooks = None'])
def test_foreign_checkpoint_in_test(tmp_path, data, own):
    mine = tmp_path / 'mine.py'
    mine.write_text(f"_base_ = '{SEG}'\n{own}\n")
    torch.save({'state_dict': {'backbone.stem.weight': torch.zeros(1)}, 'meta': {}}, tmp_path / 'other.pth')
    with pytest.raises(InputError, match=r'is of another model \(\d+ tensors in the model only'):
        launch.evaluate(str(mine), str(tmp_path / 'other.pth'), work_dir=str(tmp_path / 'out'))


def test_one_image_per_process_is_too_few_for_batch_norm(tmp_path, data):
    message = fails(tmp_path, SEG, '--cfg-options', 'train_dataloader.batch_size=1')
    assert 'train_dataloader.batch_size=2' in message


def test_resume_from_nothing(tmp_path):
    assert 'gone.pth: no such file' in fails(tmp_path, SEG, '--resume', str(tmp_path / 'gone.pth'))


@pytest.mark.skipif(torch.cuda.is_available(), reason='a GPU takes float16')
def test_float16_needs_a_gpu(tmp_path):
    assert 'needs a GPU' in fails(tmp_path, SEG, '--amp', 'float16')


def test_one_line_and_status_2_from_the_shell():
    done = subprocess.run(
        [sys.executable, ROOT / 'tools/train.py', 'configs/none.py'], capture_output=True, text=True, cwd=ROOT
    )
    assert (done.returncode, done.stderr) == (
        2,
        'error: config configs/none.py: no such file, work dir or checkpoint\n',
    )


def test_syncbn_becomes_bn_on_one_process():
    cfg = load_config(SEG, {})
    types = [node.get('type') for node in walk(cfg._cfg_dict)]
    assert 'SyncBN' not in types
    assert 'BN' in types


def test_each_run_of_a_process_writes_into_its_own_folder(tmp_path):
    names = set()
    for place in ('first', 'second'):
        given = Settings('training', SEG, work_dir=str(tmp_path / place))
        runner = launch.build_runner(launch.edited(read_model_config(SEG, {}), given)[0], Terminal())
        runner.visualizer.add_scalar('loss', 1.0, step=1)
        assert list((tmp_path / place).glob('*/vis_data/scalars.json'))
        names.add(runner.cfg.visualizer.name)
    assert len(names) == 2


def test_frozen_tensors_are_logged_in_one_row(tmp_path):
    given = Settings('training', SEG, work_dir=str(tmp_path))
    cfg = read_model_config(SEG, {'model.backbone.frozen_stages': 2})
    cfg, _ = launch.edited(cfg, given)
    # mmengine's loggers go by name and second: another test's run of this config may have begun in this one.
    cfg.experiment_name = 'frozen'
    runner = launch.build_runner(cfg, Terminal())
    runner.build_optim_wrapper(runner.cfg.optim_wrapper)
    runner.logger.warning('another warning')
    log = next(tmp_path.glob('*/*.log')).read_text()
    assert 'another warning' in log
    assert 'requires_grad=False' not in log


def test_options_may_add_arguments_of_classes_and_runner_keys():
    options = {'model.backbone.with_cp': True, 'find_unused_parameters': True}
    cfg = load_config(SEG, options)
    assert cfg.model.backbone.with_cp
    assert cfg.find_unused_parameters


def test_head_class_counts_pass_over_backbone_and_rpn():
    model = dict(
        backbone=dict(num_classes=1000),
        rpn_head=dict(num_classes=1),
        roi_head=dict(bbox_head=[dict(num_classes=8), dict(num_classes=8)]),
    )
    assert dict(head_class_counts(model, 'model')) == {
        'model.roi_head.bbox_head.0.num_classes': 8,
        'model.roi_head.bbox_head.1.num_classes': 8,
    }


def test_panoptic_heads_count_things_and_stuff_and_weigh_one_class_more():
    def head(weights):
        loss = dict(class_weight=[1.0] * weights)
        return dict(panoptic_head=dict(num_things_classes=8, num_stuff_classes=1, loss_cls=loss))

    check_class_counts(Config(dict(model=head(10))))
    with pytest.raises(InputError, match=r'class_weight, its length less one=133'):
        check_class_counts(Config(dict(model=head(134))))


def test_heads_with_sigmoid_weigh_classes_alone():
    head = dict(num_classes=3, loss_cls=dict(use_sigmoid=True, class_weight=[1.0, 2.0, 1.0]))
    check_class_counts(Config(dict(model=dict(bbox_head=head))))
    head['loss_cls']['use_sigmoid'] = False
    with pytest.raises(InputError, match='its length less one=2'):
        check_class_counts(Config(dict(model=dict(bbox_head=head))))


def test_panoptic_data_that_is_not_there(tmp_path):
    path = str(ROOT / 'configs' / 'mask2former_seq2d_s_coco_panoptic.py')
    (tmp_path / 'coco').mkdir()
    options = dict.fromkeys([f'{name}_dataloader.dataset.data_root' for name in ('train', 'val')], f'{tmp_path}/coco')
    cfg = load_config(path, options, str(tmp_path))
    with pytest.raises(InputError, match='panoptic_train2017.json: not there; panoptic training needs it'):
        check_datasets(Work('training', path, cfg), ('train_dataloader',))


@pytest.mark.parametrize('loader', ['train_dataloader', 'val_dataloader', 'test_dataloader'])
@pytest.mark.parametrize('step', [dict(type='LoadAnnotations'), dict(type='mmseg.LoadAnnotations')])
def test_more_classes_than_bytes_are_refused(loader, step):
    def cfg(classes, step):
        inner = dict(type='BaseSegDataset', pipeline=[dict(type='LoadImageFromFile'), step])
        dataset = dict(type='RepeatDataset', times=2, dataset=inner)
        model = dict(decode_head=dict(num_classes=classes))
        return Config({'default_scope': 'mmseg', 'model': model, loader: dict(dataset=dataset)})

    check_label_range(cfg(256, step), [loader])
    check_label_range(cfg(300, dict(type='LoadImageFromFile')), [loader])
    with pytest.raises(
        InputError, match=rf'300 classes, and {loader}\.dataset\.dataset loads labels with mmseg.LoadAnnotations'
    ):
        check_label_range(cfg(300, step), [loader])

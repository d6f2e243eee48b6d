"""The configs of further public data sets check, train and evaluate tiny files in each data set's own layout."""

import csv
import json
import re
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DATASETS, DefaultScope
from mmengine.runner import Runner

from mmseq.config import load_config
from mmseq.datasets.nesting import loader_datasets
from mmseq.engine import launch
from mmseq.engine.preflight import check_config, examine_datasets, head_class_counts
from mmseq.engine.settings import Settings
from mmseq.engine.terminal import Terminal
from mmseq.errors import InputError
from mmseq.explain.work import Work
from mmseq.nested import walk
from mmseq.registry import MODELS
from tests.configs import layouts
from tests.configs.leaves import CONFIGS, load
from tests.configs.test_heads import small

# Through the whole of a run, with the figures that its evaluation gives: metrics that no other test has.
RUN = {
    'mask_rcnn_seq2d_s_lvis': ('lvis/bbox_AP', 'lvis/segm_APr'),
    'faster_rcnn_seq2d_s_voc0712': ('pascal_voc/mAP', 'pascal_voc/AP50'),
}
STEP = (
    'mask_rcnn_seq2d_s_coco_rem',
    'mask_rcnn_seq2d_s_cityscapes',
    'upernet_seq2d_s_cityscapes',
    'upernet_seq2d_s_pascal_context',
    'upernet_seq2d_s_pascal_context_59',
    'upernet_seq2d_s_voc12',
    'upernet_seq2d_s_voc12_aug',
)
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp('public')
    layouts.write_all(root)
    return root


@pytest.fixture
def leaf(monkeypatch, tmp_path, data):
    """A function from a leaf's name to its config with a nano backbone and small images, its data word by word."""
    monkeypatch.setenv('MMSEQ_DATA', str(data))

    def make(name):
        text = (CONFIGS / f'{name}.py').read_text().replace("'_base_/", f"'{CONFIGS}/_base_/")
        (tmp_path / f'{name}.py').write_text(text.replace('backbones/seq2d_s.py', 'backbones/seq2d_nano.py'))
        cfg = load_config(str(tmp_path / f'{name}.py'), {}, str(tmp_path / 'run'))
        backbone, counts = cfg.model.pop('backbone'), {one['num_classes'] for one in classified(cfg.model)}
        cut = Config(small(cfg._cfg_dict), filename=cfg.filename)
        cut.model.backbone = backbone
        for one in classified(cut.model):
            one['num_classes'] = max(counts)
        for loader in LOADERS:
            cut[loader].update(num_workers=0, persistent_workers=False, batch_size=min(cut[loader].batch_size, 2))
        return cut

    return make


def classified(model):
    """The heads with classes of the data."""
    return [one for one in walk(model) if one.get('num_classes', 1) > 1]


def found(cfg):
    """What the check of the data says, by kind, but for classes that never occur in files this small."""
    reports = examine_datasets(Work('evaluation', '', cfg), LOADERS, sample=None)
    assert all(report.total and report.checked == report.total for report in reports)
    return [finding.message for report in reports for kind, finding in report.findings.items() if kind not in SMALL]


# Classes that never occur, and test data that are those of validation.
SMALL = ('absent_classes', 'absent_values')


@pytest.mark.parametrize('name', STEP)
def test_sound_data_pass_and_train(name, leaf):
    cfg = leaf(name)
    assert found(cfg) == []
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(cfg.model)
        batch = next(iter(Runner.build_dataloader(cfg.train_dataloader, seed=0)))
        losses = model.train().train_step(batch, build_optim_wrapper(model, cfg.optim_wrapper))
        assert losses['loss'].isfinite()
        sample = DATASETS.build(cfg.val_dataloader.dataset)[0]['data_samples']
    if name.startswith('upernet'):
        assert set(sample.gt_sem_seg.data.unique().tolist()) == {*VALUES[cfg.model.decode_head.num_classes], 255}
    else:
        assert sample.gt_instances.labels.tolist() == [0, cfg.model.roi_head.bbox_head.num_classes - 1]


# The classes of the two objects, by the number of classes: dog and person are 11 and 14 of VOC's.
DETECTED = {1203: [2, 999], 20: [11, 14]}
# What label maps hold, by the number of classes: the last of 59 is 58 where the background is ignored.
VALUES = {19: (0, 11, 18), 59: (0, 58), 60: (0, 1, 59), 21: (0, 1, 20)}


@pytest.mark.parametrize('name', RUN)
def test_sound_data_pass_and_run(name, leaf):
    cfg = leaf(name)
    assert found(cfg) == []
    if name.endswith('lvis'):
        pytest.importorskip('lvis')
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=1, val_interval=1)
    launch.build_runner(launch.edited(cfg, Settings('training', cfg.filename))[0], Terminal()).train()
    folder = Path(cfg.work_dir)
    metrics = json.loads((folder / 'metrics.json').read_text())['metrics']
    assert set(RUN[name]) <= set(metrics)
    with (folder / 'per_class.csv').open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == classified(cfg.model)[-1]['num_classes']
    classes = DETECTED[classified(cfg.model)[-1]['num_classes']]
    assert [i for i, row in enumerate(rows) if int(row['instances'])] == classes
    assert 'bbox_AP50' in rows[0]


# Upstream's config of the recipe, with the processes of both.
SOURCES = {
    'mask_rcnn_seq2d_s_lvis': ('mmdet::lvis/mask-rcnn_r50_fpn_sample1e-3_ms-1x_lvis-v1.py', 8, 8),
    'mask_rcnn_seq2d_s_cityscapes': ('mmdet::cityscapes/mask-rcnn_r50_fpn_1x_cityscapes.py', 8, 8),
    'faster_rcnn_seq2d_s_voc0712': ('mmdet::pascal_voc/faster-rcnn_r50_fpn_1x_voc0712.py', 8, 8),
    'upernet_seq2d_s_cityscapes': ('mmseg::upernet/upernet_r50_4xb2-80k_cityscapes-512x1024.py', 4, 4),
    'upernet_seq2d_s_voc12_aug': ('mmseg::upernet/upernet_r50_4xb4-40k_voc12aug-512x512.py', 8, 4),
    'upernet_seq2d_s_pascal_context_59': (
        *('mmseg::deeplabv3plus/deeplabv3plus_r101-d8_4xb4-40k_pascal-context-59-480x480.py', 8, 4),
    ),
}


@pytest.mark.parametrize('name', SOURCES)
def test_data_and_length_are_the_sources(name):
    address, processes, theirs = SOURCES[name]
    ours, source = load(CONFIGS / f'{name}.py'), get_config(address)
    for loader in LOADERS[:2]:
        pipelines = [
            [dataset['pipeline'] for _, dataset in loader_datasets(cfg[loader], loader)] for cfg in (ours, source)
        ]
        assert pipelines[0] == pipelines[1]
    assert ours.train_dataloader.batch_size * processes == source.train_dataloader.batch_size * theirs
    assert ours.auto_scale_lr.base_batch_size == ours.train_dataloader.batch_size * processes
    length = 'max_iters' if name.startswith('upernet') else 'max_epochs'
    # The schedules end where the training does.
    assert ours.train_cfg[length] == source.train_cfg[length] == ours.param_scheduler[-1].end
    assert f'--gpus {processes}' in (CONFIGS / f'{name}.py').read_text()


def test_the_config_of_the_page(tmp_path):
    (block,) = re.findall(r'```python\n(.+?)```', (CONFIGS.parent / 'docs/data_sets.md').read_text(), re.DOTALL)
    path = tmp_path / block.splitlines()[0][2:]
    path.write_text(block)
    cfg = load_config(str(path), {}, str(tmp_path))
    assert set(dict(head_class_counts(cfg.model, 'model')).values()) == {1203}
    assert cfg.model.backbone.type == 'mmseq.Timm'
    assert cfg.test_evaluator.type == 'LVISMetric'


def test_without_the_package_lvis_one_line_says_what_to_install(monkeypatch, leaf):
    monkeypatch.setattr('mmseq.engine.examiners.importlib.util.find_spec', lambda name: None)
    with pytest.raises(InputError, match=r"LVISV1Dataset needs the package lvis: pip install 'mmseq\[lvis\]'"):
        check_config(leaf('mask_rcnn_seq2d_s_lvis'), LOADERS[:1])

"""What a config names is there, whatever options leave the check of the data out."""

from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from mmseq.cli import train
from mmseq.config import load_config
from mmseq.datasets.shapes import generate
from mmseq.engine.preflight import check_data_places, check_weights, examine_datasets
from mmseq.errors import InputError
from mmseq.explain.work import Work

ROOT = Path(__file__).parents[2]
DET = str(ROOT / 'configs' / 'mask_rcnn_seq2d_nano_shapes.py')
LOADERS = ('train_dataloader', 'val_dataloader')


def places(folder: Path, **changed: Any) -> Config:
    inner = dict(type='CocoDataset', data_root=str(folder), ann_file='a.json', data_prefix=dict(img='images')) | changed
    (folder / 'images').mkdir(exist_ok=True)
    (folder / 'a.json').write_text('{}')
    data = dict(type='ConcatDataset', datasets=[dict(type='RepeatDataset', times=2, dataset=inner)])
    return Config(dict(default_scope='mmdet', train_dataloader=dict(dataset=data)))


@pytest.mark.parametrize(
    'changed, said',
    [
        (dict(data_root='/nowhere'), 'data root /nowhere: no such folder'),
        (dict(ann_file='b.json'), 'train_dataloader.dataset.datasets.0.dataset.ann_file: '),
        (dict(data_prefix=dict(img='other')), '.data_prefix.img: '),
    ],
)
def test_places_that_are_not_there(changed: dict[str, Any], said: str, tmp_path: Path) -> None:
    check_data_places(places(tmp_path), LOADERS)
    with pytest.raises(InputError) as error:
        check_data_places(places(tmp_path, **changed), LOADERS)
    assert said in str(error.value)
    # Elsewhere than on a local disk nothing is asked.
    check_data_places(places(tmp_path, **changed, backend_args=dict(backend='petrel')), LOADERS)


def test_the_annotations_of_a_metric(tmp_path: Path) -> None:
    cfg = places(tmp_path)
    cfg.val_evaluator = [dict(type='CocoMetric', ann_file=str(tmp_path / 'c.json'))]
    with pytest.raises(InputError, match=r'val_evaluator\.ann_file: .*c\.json is not there'):
        check_data_places(cfg, LOADERS)


def test_no_option_leaves_it_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('MMSEQ_DATA', str(tmp_path / 'nowhere'))
    monkeypatch.setattr('mmseq.engine.launch.build_runner', lambda *_: pytest.fail('built'))
    with pytest.raises(InputError, match='no such folder'):
        train.main([DET, '--no-data-check', '--work-dir', str(tmp_path / 'out')])


def test_validation_on_the_training_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generate(tmp_path / 'shapes', train=2, val=2, seed=0)
    monkeypatch.setenv('MMSEQ_DATA', str(tmp_path))
    cfg = load_config(DET, {}, str(tmp_path / 'out'))
    assert all(
        'training_data' not in report.counts() for report in examine_datasets(Work('training', DET, cfg), LOADERS)
    )
    cfg.val_dataloader.dataset.update({key: cfg.train_dataloader.dataset[key] for key in ('ann_file', 'data_prefix')})
    _, report = examine_datasets(Work('training', DET, cfg), LOADERS)
    assert 'val_dataloader reads the files of train_dataloader' in report.findings['training_data'].message


def test_weights_that_are_not_there_are_found_before_anything_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generate(tmp_path / 'shapes', train=2, val=2, seed=0)
    monkeypatch.setenv('MMSEQ_DATA', str(tmp_path))
    monkeypatch.setattr('mmseq.engine.launch.build_runner', lambda *_: pytest.fail('built'))
    options = ['model.backbone.init_cfg.type=Pretrained', f'model.backbone.init_cfg.checkpoint={tmp_path}/gone.pth']
    with pytest.raises(InputError, match=r'gone\.pth: no such file'):
        train.main([DET, '--work-dir', str(tmp_path / 'out'), '--cfg-options', *options])
    # An address of upstream's own is upstream's to read, and random weights need no file.
    for init in (dict(type='Pretrained', checkpoint='torchvision://resnet50'), dict(type='Normal'), None):
        check_weights(Config(dict(model=dict(backbone=dict(type='ResNet', init_cfg=init)))))

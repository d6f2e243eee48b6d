"""What goes out of a run's config, and what does not."""

from mmengine.config import Config

from mmseq.saved_config import check_names, values
from mmseq.weights.shared_config import shared_config


def test_nothing_of_this_machine_or_of_the_run_goes_out():
    cfg = Config(
        dict(
            work_dir='/disk/me/run',
            load_from='/disk/me/coco.pth',
            resume=True,
            model=dict(
                type='X',
                init_cfg=[dict(type='Normal', layer='Conv2d')],
                backbone=dict(init_cfg=dict(type='Pretrained', checkpoint='https://me:secret@host/a.pth')),
            ),
            train_dataloader=dict(dataset=dict(data_root='/disk/me/mine/', ann_file='train.json', other='~/x/y.json')),
            address='https://me:secret@host/a?token=1',
            visualizer=dict(type='Visualizer', vis_backends=[dict(type='WandbVisBackend', key='secret')]),
            custom_hooks=[dict(type='mmseq.RecipeHook', notes=['/disk/me']), dict(type='mmseq.CurvesHook')],
            classes=('a', 'b'),
        )
    )
    text = shared_config(cfg.pretty_text, 'model.pth')
    found = values(text, 'model.pth')
    assert 'disk' not in text
    assert 'secret' not in text
    assert found['train_dataloader']['dataset'] == dict(data_root='mine', ann_file='train.json', other='y.json')
    assert found['model'] == dict(
        type='X', init_cfg=[dict(type='Normal', layer='Conv2d')], backbone=dict(init_cfg=None)
    )
    assert found['custom_hooks'] == [dict(type='mmseq.CurvesHook')]
    assert found['address'] == 'https://host/a'
    assert found['classes'] == ('a', 'b')
    assert not {'work_dir', 'load_from', 'resume'} & set(found)


def test_shipped_configs_stay_what_they_are_and_are_taken_back(configs):
    cfg = configs['mask_rcnn_seq2d_nano_shapes']
    found = Config(values(shared_config(cfg.pretty_text, 'model.pth'), 'model.pth'))
    for key in ('model', 'train_dataloader', 'test_dataloader', 'test_evaluator', 'optim_wrapper'):
        assert found[key] == cfg[key]
    check_names(found, 'model.pth')

"""tools/print_config.py from the command line."""

import json
from pathlib import Path

import pytest
from mmengine.config import Config

from mmseq.cli.print_config import main
from mmseq.errors import InputError

ROOT = Path(__file__).parents[2]
CONFIG = 'configs/upernet_seq2d_nano_shapes.py'


def output(capsys, *arguments):
    assert main(list(arguments)) == 0
    return capsys.readouterr().out


def test_what_is_printed_is_the_config_again(capsys, monkeypatch):
    monkeypatch.delenv('MMSEQ_DATA', raising=False)
    text = output(capsys, CONFIG, '--cfg-options', 'train_cfg.max_iters=7', 'model.backbone.arch=s')
    assert text.startswith(f"# {CONFIG}, with all that it inherits and train_cfg.max_iters=7 model.backbone.arch='s'\n")
    again, cfg = Config.fromstring(text, '.py'), Config.fromfile(CONFIG)
    assert again.model.backbone.arch == 's'
    cfg.merge_from_dict({'train_cfg.max_iters': 7, 'model.backbone.arch': 's'})
    assert again.to_dict() == cfg.to_dict()
    # As it is for every machine: not without the norm that this one lacks.
    assert again.model.decode_head.norm_cfg.type == 'SyncBN'


def test_json_and_files(capsys, tmp_path):
    found = json.loads(output(capsys, CONFIG, '--json'))
    assert found['model']['decode_head']['num_classes'] == 9
    path = tmp_path / 'deep' / 'config.py'
    assert output(capsys, CONFIG, '--out', str(path)) == f'{path}\n'
    assert Config.fromfile(path).to_dict() == Config.fromfile(CONFIG).to_dict()
    with pytest.raises(InputError, match=r'--out .*README.md/x: cannot be written'):
        main([CONFIG, '--json', '--out', str(ROOT / 'README.md' / 'x')])


def test_what_a_config_changes(capsys):
    text = output(capsys, CONFIG, '--diff', '--cfg-options', 'train_dataloader.batch_size=2')
    assert '~ model.decode_head.num_classes: 150 -> 9\n' in text
    assert '~ train_dataloader.batch_size: 8 -> 2\n' in text
    assert 'optim_wrapper' not in text
    assert all(line.startswith(('+ ', '- ', '~ ', '    ')) for line in text.splitlines())


def test_two_configs(capsys):
    other = 'configs/mask_rcnn_seq2d_nano_shapes.py'
    found = json.loads(output(capsys, other, '--diff', 'configs/mask_rcnn_shiftvit_nano_shapes.py', '--json'))
    kinds = {row['key']: row for row in found}
    assert kinds['model.backbone']['old']['type'] == 'mmseq.ShiftViT'
    assert kinds['model.backbone']['new']['type'] == 'mmseq.Sequencer2D'
    assert output(capsys, other, '--diff', other) == 'no difference\n'


def test_parts_of_configs(capsys):
    assert 'max_iters=160000' in output(capsys, 'configs/_base_/schedules/ade20k_160k.py').replace(' ', '')
    with pytest.raises(InputError, match=r'inherits nothing \(no _base_\); name a config after --diff'):
        main(['configs/_base_/backbones/seq2d_nano.py', '--diff'])


def test_values_that_are_no_python_text(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text("clip = float('inf')\n")
    with pytest.raises(InputError, match='cannot be written as Python .*; use --json'):
        main([str(path)])


@pytest.mark.parametrize(
    'name', ['mask2former_seq2d_s_coco_panoptic', 'dino_vil_t_coco', 'upernet_vil_t_ade20k_authors']
)
def test_large_configs_come_back(name, configs):
    assert Config.fromstring(configs[name].pretty_text, '.py').to_dict() == configs[name].to_dict()


SWIN = 'mmseg::swin/swin-tiny-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512.py'


def test_upstreams_configs_by_name(capsys):
    assert main([SWIN]) == 0
    whole = capsys.readouterr().out
    assert 'SwinTransformer' in whole
    for bare in (SWIN.replace('swin/', ''), SWIN.replace('swin/', '').removesuffix('.py')):
        assert main([bare]) == 0
        assert capsys.readouterr().out.split('\n', 1)[1] == whole.split('\n', 1)[1]
    for name, message in (
        ('mmdet::no/such.py', r'config mmdet::no/such\.py: no such file: .*no/such\.py'),
        ('mmdet::mask-rcnn_r50', r'config mmdet::mask-rcnn_r50\.py: no config has this name; nearest: mmdet::mask'),
        ('mmdet::x', r'config mmdet::x\.py: no config has this name; nearest: none'),
        ('nothing::a', "config nothing::a.py: no package 'nothing' is installed; expected mmseq, mmdet or mmseg"),
        ('::a', "config ::a.py: no package '' is installed"),
        ('nothing::a/b.py', 'config nothing::a/b.py: .*nothing'),
    ):
        with pytest.raises(InputError, match=f'^{message}'):
            main([name])


def test_scopes_of_bases_are_no_difference(capsys):
    assert main(['mmseq::upernet_vil_t_ade20k', '--diff', SWIN]) == 0
    text = capsys.readouterr().out
    assert 'mmseq.VisionLSTM' in text
    assert '_scope_' not in text

"""Configs that runs leave are values; what a stranger wrote into one is not run."""

import pickle
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmseq.cli.print_config import main
from mmseq.config import read_config
from mmseq.errors import InputError
from mmseq.saved_config import check_names, config_in, named_config, outputs_of, read_saved_config


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / 'vis_data' / 'config.py'
    path.parent.mkdir()
    return path


def test_values_are_those_that_were_written(saved: Path, configs: dict[str, Config]) -> None:
    names = sorted(configs)[::9]
    assert len(names) > 3
    for name in names:
        configs[name].dump(saved)
        expected = Config.fromfile(saved, import_custom_modules=False).to_dict()
        assert read_saved_config(saved).to_dict() == expected
    odd = dict(a=-1.5, b=(1, [2, {'x y': None}]), c=True, d="it's", e=float('inf'), f=-float('inf'), g={1: 2}, h=1e-5)
    Config(odd).dump(saved)
    assert read_saved_config(saved).to_dict() == odd


@pytest.mark.parametrize(
    'text',
    [
        'import os\n',
        'a = open("{marker}", "w")\n',
        'a = dict(b=open("{marker}", "w"))\n',
        'a = [x for x in (open("{marker}", "w"),)]\n',
        "a = f\"{{open('{marker}', 'w')}}\"\n",
        'a = {{**dict(b=open("{marker}", "w"))}}\n',
        'a: dict = 1\n',
        'open("{marker}", "w")\n',
        'if True:\n    a = 1\n',
        '_base_ = "evil.yaml"\n',
        '_base_ = ["evil.py"]\n',
        'a = b = 1\n',
        'a = dict(1)\n',
        'a = x\n',
        'a = -dict\n',
    ],
)
@pytest.mark.parametrize('read', [read_saved_config, lambda path: read_config(str(path), {})])
def test_nothing_in_them_is_run(saved: Path, tmp_path: Path, text: str, read) -> None:
    marker = tmp_path / 'marker'
    (saved.parent / 'evil.yaml').write_text(f'a: !!python/object/apply:os.system ["touch {marker}"]\n')
    (saved.parent / 'evil.py').write_text(f'open("{marker}", "w")\n')
    saved.write_text(text.format(marker=marker))
    with pytest.raises(InputError, match=r'config .*config\.py: line \d is more than a value') as caught:
        read(saved)
    assert '\n' not in str(caught.value)
    assert not marker.exists()


@pytest.mark.parametrize(
    'text', ['a = (\n', 'a = "\0"\n', 'a = ' + '[' * 5000 + '\n', ''.join(['a = ', '-' * 9999, '1'])]
)
def test_damaged_ones_are_one_line(saved: Path, text: str) -> None:
    saved.write_text(text)
    with pytest.raises(InputError, match='config ') as caught:
        read_saved_config(saved)
    assert '\n' not in str(caught.value)


def checkpoint(path: Path, text: str) -> str:
    """A checkpoint that carries a config."""
    torch.save(dict(state_dict={'w': torch.ones(1)}, meta=dict(cfg=text)), path)
    return str(path)


def test_a_checkpoint_carries_the_config_of_its_run(tmp_path: Path, configs: dict[str, Config]) -> None:
    names = sorted(configs)[::20]
    assert len(names) > 1
    for name in names:
        cfg = configs[name]
        found = config_in(checkpoint(tmp_path / 'iter_1.pth', cfg.pretty_text))
        assert found.model.to_dict() == cfg.model.to_dict()
        assert found.train_dataloader.to_dict() == cfg.train_dataloader.to_dict()


def test_a_checkpoint_without_a_config_is_named(tmp_path: Path) -> None:
    torch.save({'w': torch.ones(1)}, tmp_path / 'bare.pth')
    with pytest.raises(InputError, match=r'bare\.pth: carries no config; give CONFIG .*bare\.pth, with'):
        config_in(str(tmp_path / 'bare.pth'))


ATTACKS = {
    'a call': "model = __import__('os').system('touch {marker}')",
    'a function': "model = dict(type='os.system', command='touch {marker}')",
    'a function of upstream': "model = dict(type='mmengine.load', file='{marker}.pkl')",
    'of a registered name elsewhere': "model = dict(type='mmengine.fileio.load', file='x.json')",
    'in a list': "test_pipeline = [dict(type='subprocess.call', args=['touch', '{marker}'])]",
    'under another key': "step = dict(type='RandomChoiceResize', resize_type='os.system', resize_cfg=dict(command=''))",
    'a constructor': "optim_wrapper = dict(constructor='os.system', command='touch {marker}')",
    'text that is evaluated': "nms = dict(type=\"__import__('os').system('touch {marker}')\")",
    'a class that evaluates': "step = dict(type='CameraMotionCompensation', warp_mode=\"print('{marker}')\")",
    'a module': "custom_imports = dict(imports=['evil'])",
    'a module alone': "custom_imports = dict(imports='evil')",
    'a type that is a module': "model = dict(type='evil')",
    'a scope': "model = dict(_scope_='evil', type='ResNet')",
    'a default scope': "default_scope = 'evil'",
    'a pickle': "test_dataloader = dict(dataset=dict(type='BaseDataset', ann_file='https://host/a.pkl'))",
    'a pickle by its format': "step = dict(type='LoadAnnotations', file_format='pickle')",
}


@pytest.mark.parametrize('text', ATTACKS.values(), ids=ATTACKS)
def test_what_a_checkpoint_wants_to_run_is_refused(tmp_path: Path, monkeypatch, text: str) -> None:
    marker = tmp_path / 'marker'
    (tmp_path / 'evil.py').write_text(f'open({str(marker)!r}, "w")\n')
    (tmp_path / 'marker.pkl').write_bytes(pickle.dumps(1))
    monkeypatch.syspath_prepend(tmp_path)
    name = checkpoint(tmp_path / 'model.pth', text.format(marker=marker) + '\n')
    with pytest.raises(InputError, match=r'model\.pth') as caught:
        read_config(name, {})
    assert '\n' not in str(caught.value)
    assert not marker.exists()


@pytest.mark.parametrize(
    'text',
    [
        "custom_imports = dict(imports=['mmseq.registry'], allow_failed_imports=False)",
        "model = dict(type='mmseq.Sequencer2D', test_cfg=dict(nms=dict(type='nms'), roi=dict(type='RoIAlign')))",
        "train_dataloader = dict(dataset=dict(ann_file='test.json', data_prefix=dict(img='code.images/')))",
        "metainfo = dict(classes=('os', 'a.b', 'test'))",
        "step = dict(type='Albu', transforms=[dict(type='ShiftScaleRotate')])",
    ],
)
def test_what_is_registered_and_what_is_no_name_is_taken(text: str) -> None:
    values = Config.fromstring(text, '.py')
    check_names(values, 'model.pth')


def test_results_go_into_the_work_dir_and_not_where_the_run_was(tmp_path: Path, saved: Path, monkeypatch) -> None:
    run = tmp_path / 'run'
    (run / '20260101_000000' / 'vis_data').mkdir(parents=True)
    text = "work_dir = '/elsewhere'\nmodel = dict(type='X')\n"
    (run / '20260101_000000' / 'vis_data' / 'config.py').write_text(text)
    for name in (run, checkpoint(run / 'iter_1.pth', text)):
        assert named_config(str(name)).work_dir == str(run)
    assert named_config(checkpoint(tmp_path / 'model.pth', text)).work_dir == 'work_dirs/model'
    monkeypatch.chdir(run)
    assert outputs_of('iter_1.pth') == run
    assert outputs_of('hf://OWNER/NAME@main') == outputs_of('https://host/a/NAME.pth?token=1') == Path('work_dirs/NAME')


def test_a_folder_of_something_else_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r'neither a work dir .* nor a published model \(model.safetensors\)'):
        read_config(str(tmp_path), {})


def test_printing_a_config_of_a_checkpoint_runs_nothing_of_it(tmp_path: Path, capsys) -> None:
    marker = tmp_path / 'marker'
    # mmengine's own reader puts what stands behind the colon into the source.
    text = f"a = '{{{{ $ABSENT_HERE:x\\' + str(open(\\'{marker}\\', \\'w\\')) + \\' }}}}'\n"
    assert main([checkpoint(tmp_path / 'model.pth', text)]) == 0
    assert 'ABSENT_HERE' in capsys.readouterr().out
    assert not marker.exists()

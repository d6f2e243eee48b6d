"""The index of models says what the configs say, and the tables say what the index says."""

import ast
import re
from copy import deepcopy
from pathlib import Path

import pytest
from mmengine.config import Config

from benchmarks.index import model_index, model_tables
from benchmarks.index.__main__ import main
from mmseq.errors import InputError
from mmseq.measure.complexity import parameters
from mmseq.model.build import build

ROOT = Path(__file__).parents[3]
STALE = 'is out of date: run python -m benchmarks.index'
PATHS = sorted((ROOT / 'configs').glob('*.py'))


@pytest.fixture(scope='module')
def entries():
    return model_index.read(ROOT / 'model-index.yml')


@pytest.fixture(scope='module')
def by_name(entries):
    return {entry['Name']: entry for entry in entries}


def docstrings(path):
    """A config's docstring with those of the configs it says it is as."""
    text = ast.get_docstring(ast.parse(path.read_text()))
    other = re.match(r'As ([\w-]+\.py)', text)
    return text + (docstrings(path.with_name(other[1])) if other else '')


def test_every_config_has_an_entry_and_every_entry_a_config(entries):
    assert [entry['Name'] for entry in entries] == [path.stem for path in PATHS], f'model-index.yml {STALE}'
    assert len(entries) >= 40


def test_entries_say_what_the_configs_say(by_name, configs):
    for path in PATHS:
        entry, fresh = by_name[path.stem], model_index.describe(path, configs[path.stem])
        fresh['Metadata'] |= model_index.counted(entry)
        assert {key: entry[key] for key in fresh} == fresh, f'{path.stem} in model-index.yml {STALE}'
        assert set(entry) - set(fresh) <= set(model_index.KEPT)
        assert fresh['Recipe']


def test_parameters_of_all_models(by_name, configs):
    for name, cfg in configs.items():
        assert by_name[name]['Metadata']['Parameters'] == sum(parameters(build(cfg)).values()), name


@pytest.mark.parametrize(
    'name', ['upernet_seq2d_s_ade20k', 'mask_rcnn_shiftvit_t_light_coco', 'upernet_vil_nano_shapes']
)
def test_operations_counted_again(by_name, configs, name):
    assert model_index.figures(configs[name]) == model_index.counted(by_name[name])


def test_reported_figures_are_the_docstrings(by_name):
    said = re.compile(r'Expected: (?:mIoU|box AP)[^.]*\d')
    for path in PATHS:
        text, reported = docstrings(path), by_name[path.stem].get('Reported by authors')
        for value in reported['Metrics'].values() if reported else ():
            assert re.search(rf'\b{value}\b', text), f'{path.name} does not say {value}'
        if reported:
            assert reported['Source'], path.name
            assert reported.get('Second-hand', False) == ('as others quote' in text), path.name
        own = ast.get_docstring(ast.parse(path.read_text()))
        if said.search(own) and 'make demo' not in own:
            assert reported, f'{path.name} reports a figure that model-index.yml lacks'


def test_results_name_their_command(by_name):
    run = {name: entry['Results'] for name, entry in by_name.items() if 'Results' in entry}
    assert run
    for name, results in run.items():
        assert set(results) == {'Metrics', 'Command'}, name
        assert all(results.values()), name


def test_the_table_is_fresh(entries):
    text = (ROOT / 'docs/models.md').read_text()
    assert model_tables.insert(text, model_tables.full_table(entries), 'models.md') == text, f'docs/models.md {STALE}'


def test_a_refresh_keeps_what_people_wrote_and_what_has_not_changed(tmp_path, monkeypatch):
    (tmp_path / 'upernet_x_nano_shapes.py').write_text(
        '"""X.\n\nRecipe: two words\nin two lines.\nCommand: none\n"""\n'
        "model = dict(type='mmseg.EncoderDecoder', backbone=dict(type='mmseq.ShiftViT', arch='nano'))\n"
        "default_scope = 'mmseg'\n"
        "train_dataloader = dict(dataset=dict(pipeline=[dict(type='RandomCrop', crop_size=(64, 96))]))\n"
    )
    asked = []
    monkeypatch.setattr(model_index, 'figures', lambda cfg: asked.append(cfg) or {'Parameters': 7, 'Multiply-adds': 9})
    (entry,) = model_index.refresh(tmp_path, [])
    assert entry['Recipe'] == 'two words in two lines.'
    assert entry['Backbone weights'] is None
    assert entry['Metadata']['Architecture'] == ['ShiftViT', 'EncoderDecoder']
    assert entry['Metadata']['Training Data'] == 'embedded shapes'
    entry['Results'] = {'Metrics': {'mIoU': 1.0}, 'Command': 'x'}
    entry['Metadata']['Parameters'] = 8
    (again,) = model_index.refresh(tmp_path, [deepcopy(entry), {'Name': 'gone'}])
    assert again == entry
    assert len(asked) == 1
    (all_again,) = model_index.refresh(tmp_path, [entry], again=True)
    assert (all_again['Metadata']['Parameters'], all_again['Results']) == (7, entry['Results'])
    text = (tmp_path / 'upernet_x_nano_shapes.py').read_text()
    (tmp_path / 'upernet_x_nano_shapes.py').write_text(text.replace('(64, 96)', '(64, 64)'))
    (changed,) = model_index.refresh(tmp_path, [entry])
    assert (changed['Metadata']['Parameters'], len(asked)) == (7, 3)


def test_what_cannot_be_counted_has_its_reason(configs):
    cfg = Config(configs['mask_rcnn_seq2d_nano_shapes']._cfg_dict.to_dict())
    cfg.model.roi_head.bbox_roi_extractor.type = 'GenericRoIExtractor'
    found = model_index.figures(cfg)
    assert 'Multiply-adds' not in found
    assert found['Not counted'].startswith('GenericRoIExtractor: not known')
    entry = {'Name': 'x', 'Metadata': {'Arch': None, **found}}
    assert model_tables.operations(entry) == 'not counted'


def test_the_command_writes_nothing_that_is_fresh(entries, capsys, monkeypatch):
    monkeypatch.setattr(model_index, 'refresh', lambda *_: entries)
    before = {name: (ROOT / name).stat().st_mtime_ns for name in ('model-index.yml', 'docs/models.md')}
    assert main([]) == 0
    assert capsys.readouterr().out == ''
    assert before == {name: (ROOT / name).stat().st_mtime_ns for name in before}


def test_damaged_files(tmp_path):
    (tmp_path / 'a.yml').write_text('[1, 2]')
    with pytest.raises(InputError, match=r'a\.yml: is no index of models'):
        model_index.read(tmp_path / 'a.yml')
    with pytest.raises(InputError, match='no configs there'):
        model_index.refresh(tmp_path, [])
    with pytest.raises(InputError, match='README: expected one line'):
        model_tables.insert('no marks', '', 'README')

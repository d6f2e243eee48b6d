"""Weights of a run become ones that ship: whole, small, with a card that says what the run says."""

import json

import pytest
from mmengine.config import Config

from benchmarks import zoo as command
from mmseq.api import create_backbone
from mmseq.checkpoints import zoo
from mmseq.checkpoints.fetch import locate
from mmseq.checkpoints.storage import load_file
from mmseq.checkpoints.zoo import shipped
from mmseq.compat import shipped_configs
from mmseq.errors import InputError
from mmseq.weights.weights_file import save_weights

FACTS = dict(family='sequencer2d', arch='nano', data='tiny-imagenet-200', classes='200', epochs='8', mmseq='0.1.0')


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A work dir of `mmseq pretrain` that has ended, an empty folder for its weights, and a page for its row."""
    monkeypatch.setattr(zoo, 'FOLDER', tmp_path / 'zoo')
    monkeypatch.setattr(command, 'PAGE', tmp_path / 'page.md')
    (tmp_path / 'page.md').write_text(f'# Page\n{command.BEGIN}\nNone yet.\n{command.END}\nafter\n')
    folder = tmp_path / 'run'
    home = folder / '20260101_000000' / 'vis_data'
    home.mkdir(parents=True)
    cfg = Config.fromfile(shipped_configs.locate('mmseq::_base_/pretrain'))
    cfg.randomness = dict(seed=0)
    cfg.dump(home / 'config.py')
    lines = [dict(loss=1.0, time=1.8, iter=step, step=step) for step in (1000, 2000)]
    (home / 'scalars.json').write_text('\n'.join(map(json.dumps, lines)))
    tensors = create_backbone('sequencer2d_nano', out_indices=(3,)).state_dict()
    save_weights(tensors, folder / 'backbone.safetensors', {**FACTS, 'top1': '25.1', 'top5': '50.25'})
    save_weights({f'backbone.{key}': tensor for key, tensor in tensors.items()}, folder / 'classifier.safetensors', {})
    return folder


def test_weights_and_card(run, capsys):
    assert command.main(['add', str(run), '--name', 'sequencer2d_nano_tiny']) == 0
    (card,) = shipped()
    assert (card.address, card.top1, card.top5, card.hours) == ('mmseq://sequencer2d_nano_tiny', 25.1, 50.25, 1.0)
    assert (card.epochs, card.image_size, card.parameters, card.dtype) == (8, 64, 570336, 'float32')
    assert card.data == 'Tiny ImageNet'
    assert 'non-commercial' in card.data_licence
    said = 'mmseq pretrain sequencer2d_nano --data tiny-imagenet-200 --epochs 8 --image-size 64 --batch 256 --lr 0.002'
    assert card.command == f'{said} --seed 0'
    assert locate(card.address).stat().st_size < command.LARGEST
    count = len(load_file(locate(card.address)))
    assert f'{count}/{count} tensors load' in capsys.readouterr().out
    row = '| `sequencer2d_nano_tiny` | 0.57 M | Tiny ImageNet | 64 px | 8 | 1.0 | 25.1 | 50.2 |'
    assert row in command.PAGE.read_text()
    assert command.PAGE.read_text().endswith(f'{command.END}\nafter\n')


def test_half_precision_where_it_costs_nothing(run, monkeypatch):
    asked = []

    def evaluate(config, checkpoint, work_dir):
        asked.append({str(tensor.dtype) for tensor in load_file(checkpoint).values() if tensor.is_floating_point()})
        return dict(top1=top1)

    monkeypatch.setattr(command, 'evaluate', evaluate)
    monkeypatch.setattr(command, 'LARGEST', 1_500_000)
    top1 = 25.2
    assert command.main(['add', str(run)]) == 0
    (card,) = shipped()
    assert (card.name, card.dtype, asked) == ('sequencer2d_nano_tiny', 'float16', [{'torch.float16'}])
    assert card.file.stat().st_size < 1_500_000
    create_backbone('sequencer2d_nano', weights=card.name)
    top1 = 24.9
    with pytest.raises(InputError, match=r'top-1 is 24.90 % in half precision and 25.10 % in float32'):
        command.main(['add', str(run)])
    monkeypatch.setattr(command, 'LARGEST', 1_000_000)
    with pytest.raises(InputError, match=r'in half precision; at most 1000000 may ship'):
        command.main(['add', str(run)])
    assert shipped() == (card,)


def test_what_cannot_ship_is_refused(run, tmp_path):
    file = run / 'backbone.safetensors'
    tensors = load_file(file)
    save_weights(tensors, file, {**FACTS, 'data': 'mine', 'top1': '1', 'top5': '2'})
    with pytest.raises(InputError, match='data mine: on what terms they are to be had is not known; .*--licence'):
        command.main(['add', str(run)])
    key = next(key for key in tensors if key.endswith('bias'))
    save_weights({k: v for k, v in tensors.items() if k != key}, file, {**FACTS, 'top1': '1', 'top5': '2'})
    with pytest.raises(InputError, match=key):
        command.main(['add', str(run)])
    file.unlink()
    with pytest.raises(InputError, match=r'has no backbone.safetensors; end the run'):
        command.main(['add', str(run)])
    assert not any(zoo.FOLDER.glob('*'))


def test_the_page_lists_what_ships():
    text = command.PAGE.read_text()
    assert command.with_table(text) == text, 'docs/pretraining.md is out of date: run python -m benchmarks.zoo table'

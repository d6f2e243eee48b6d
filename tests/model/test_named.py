"""One word, or two, for a trained model: in the grammar of the command lines, and in real commands."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from mmseq.cli import command_parser, test
from mmseq.cli.infer import build_parser, words
from mmseq.datasets.shapes import generate
from mmseq.errors import InputError
from mmseq.model.named import Named, find_model
from mmseq.weights.publish import publish
from tests.fake_runs import write_run

CONFIG = 'mmseq::upernet_seq2d_nano_shapes'
SHORT = [
    'train_cfg.max_iters=2',
    'train_cfg.val_interval=2',
    'train_dataloader.batch_size=2',
    'train_dataloader.num_workers=0',
    'default_hooks.checkpoint.interval=2',
    'default_hooks.checkpoint.save_best=mIoU',
    'default_hooks.checkpoint.rule=greater',
]


@pytest.fixture
def run(tmp_path):
    folder = write_run(tmp_path / 'run')
    for name in ('iter_10.pth', 'iter_20.pth', 'best_mIoU_iter_10.pth'):
        torch.save(dict(meta=dict(iter=int(name[-6:-4]))), folder / name)
    return folder


def test_words_that_name_a_model(run):
    best, last = str(run / 'best_mIoU_iter_10.pth'), str(run / 'iter_20.pth')
    folder = str(run)
    assert find_model([folder, 'a.jpg', 'b']) == (Named(folder, best), ['a.jpg', 'b'])
    assert find_model([folder, last, 'a.jpg']) == (Named(folder, last), ['a.jpg'])
    assert find_model([last, 'a.jpg']) == (Named(last, last), ['a.jpg'])
    assert find_model([CONFIG, last, 'a.jpg']) == (Named(CONFIG, last), ['a.jpg'])
    assert find_model([CONFIG, folder]) == (Named(CONFIG, best), [])
    assert find_model([CONFIG]) == (Named(CONFIG, None), [])
    for address in ('hf://OWNER/NAME', 'hf://OWNER/NAME@main', 'https://host/model.safetensors'):
        assert find_model([address, 'a.jpg']) == (Named(address, address), ['a.jpg'])
    assert (Named(folder, best).title, Named('hf://OWNER/NAME', '').title, Named(CONFIG, '').title) == (
        'run',
        'NAME',
        CONFIG,
    )


def test_the_checkpoint_that_is_taken_is_logged(run, monkeypatch):
    said = []
    monkeypatch.setattr('mmseq.model.named.print_log', lambda text, *_: said.append(text))
    find_model([str(run)])
    assert said == [f'{run}: best_mIoU_iter_10.pth, its best checkpoint']


def test_what_is_no_model_is_named(tmp_path):
    with pytest.raises(InputError, match='is a config, and its checkpoint must follow; expected WORK_DIR'):
        _ = find_model([CONFIG])[0].trained
    with pytest.raises(InputError, match='no model is named; expected WORK_DIR, CHECKPOINT or CONFIG CHECKPOINT'):
        find_model([])
    with pytest.raises(InputError, match='config work_dirs/absent: no such file, work dir or checkpoint'):
        find_model(['work_dirs/absent', 'photos'])
    with pytest.raises(InputError, match='holds no checkpoint: looked for'):
        find_model([CONFIG, str(tmp_path)])


@pytest.mark.parametrize('line', ['RUN a.jpg b --batch 2', '--batch 2 RUN a.jpg b', 'RUN --batch 2 a.jpg b'])
def test_options_may_stand_anywhere(run, line):
    args = build_parser().parse_args([str(run) if word == 'RUN' else word for word in line.split()])
    assert words(args) == (Named(str(run), str(run / 'best_mIoU_iter_10.pth')), ['a.jpg', 'b'])
    assert args.batch == 2


def test_a_second_word_behind_an_option_is_the_checkpoint():
    args = test.build_parser().parse_args(['a.py', '--seed', '1', 'b.pth', '--tta'])
    assert (args.config, args.checkpoint, args.seed, args.tta) == ('a.py', 'b.pth', 1, True)
    assert command_parser('x', '').parse_known_args(['--absent', 'y'])[1] == ['--absent', 'y']


def test_a_model_without_pictures_is_named(run):
    with pytest.raises(InputError, match=r'no input after .*run: name images, videos, folders or a camera'):
        words(build_parser().parse_args([str(run)]))
    with pytest.raises(InputError, match=r'one argument too many: b\.jpg'):
        test.main([str(run), 'b.jpg'])


@pytest.fixture(scope='module')
def trained(nursery, tmp_path_factory):
    """A folder with a real work dir, photographs, and the weights of the work dir published."""
    folder = tmp_path_factory.mktemp('named')
    generate(folder / 'data' / 'shapes', train=4, val=2, seed=0)
    arguments = [CONFIG, '--work-dir', 'runs/first', '--cfg-options', *SHORT]
    nursery.train(*arguments, log=folder / 'train.log', cwd=folder, MMSEQ_DATA='data')
    publish(folder / 'runs' / 'first' / 'best_mIoU_iter_2.pth', folder / 'release' / 'shapes')
    (folder / 'photos').mkdir()
    for path in (folder / 'data' / 'shapes' / 'coco' / 'val2017').iterdir():
        shutil.copy(path, folder / 'photos')
    return folder


def command(nursery, folder, *arguments):
    return nursery.run(*arguments, script='mmseq/__main__.py', log=folder / 'command.log', cwd=folder)


def label_maps(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / 'maps').iterdir())}


def test_a_work_dir_a_checkpoint_and_published_weights_predict_the_same(nursery, trained):
    (published,) = (trained / 'release').iterdir()
    checkpoint = 'runs/first/best_mIoU_iter_2.pth'
    for number, names in enumerate([[CONFIG, checkpoint], ['runs/first'], [checkpoint], [str(published)]]):
        said = command(nursery, trained, 'infer', *names, 'photos', '--out', f'out{number}', '--device', 'cpu')
        assert '2 pictures in' in said
    assert 'runs/first: best_mIoU_iter_2.pth, its best checkpoint' in (trained / 'command.log').read_text()
    found = [label_maps(trained / f'out{number}') for number in range(4)]
    assert len(found[0]) == 2
    assert found[1:] == found[:1] * 3
    summary = json.loads((trained / 'out3' / 'summary.json').read_text())
    assert (summary['config'], summary['classes'][1]) == (str(published), 'circle')


def test_other_commands_take_them_too(nursery, trained):
    (published,) = (trained / 'release').iterdir()
    assert 'mIoU' in command(nursery, trained, 'test', 'runs/first')
    assert json.loads((trained / 'runs' / 'first' / 'metrics.json').read_text())['mode'] == 'test'
    command(nursery, trained, 'flops', str(published))
    command(nursery, trained, 'browse-dataset', 'runs/first', '-n', '1')
    assert (trained / 'runs' / 'first' / 'browse_train.png').is_file()
    assert (trained / 'work_dirs' / published.stem / 'flops.json').is_file()
    command(nursery, trained, 'erf', 'runs/first', '--num', '1', '--shape', '64', '64', '--noise')
    assert {row['weights'] for row in json.loads((trained / 'runs' / 'first' / 'erf.json').read_text())['levels']} == {
        'before',
        'after',
    }

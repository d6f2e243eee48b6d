"""What the page says of a run is what its files say."""

import json
from pathlib import Path

import numpy as np
import pytest

from mmseq.errors import InputError
from mmseq.runs.confusion import Confusion
from mmseq.runs.report import describe
from mmseq.runs.run import read_runs
from tests.fake_runs import write_csv, write_run

CONFIGS = Path(__file__).parents[3] / 'configs'


def described(folder: Path) -> dict:
    return describe.describe_run(read_runs([folder])[0])


def test_a_run(tmp_path: Path) -> None:
    found = described(write_run(tmp_path / 'a', seed=3))
    assert dict(found['facts']) == {
        'config': 'upernet_seq2d_nano_shapes.py',
        'seed': '3',
        'iterations': '30',
        'evaluated images': '4',
        'evaluated weights': 'iter_30.pth',
        'evaluated at': '2026-01-01 00:00',
        'training time': '15.0 s',
        'per iteration': '500 ms',
        'GPU memory': '130 MB',
    }
    assert found['best'] == dict(mIoU=[50.0, 20], aAcc=[90.0, 30])
    assert found['history'] == dict(
        columns=['iteration', 'mIoU', 'aAcc'], rows=[[10, 30, 70], [20, 50, 80], [30, 40, 90]]
    )
    assert [panel['title'] for panel in found['curves']][:2] == ['loss', 'validation']
    assert [panel['metrics'] for panel in found['curves']][:2] == [False, True]
    assert found['clock']['y'][-1] == pytest.approx(15 / 3600, rel=1e-5)
    assert found['scores'] == [90, 20, 55.5]
    assert found['per_class'] == [
        dict(columns=['class', 'IoU', 'label_pixels'], rows=[['sky', 0, 100], ['road', 10, 99], ['ghost', None, 98]])
    ]
    assert found['environment']['mmseq (evaluation)'] == '0.1.0'
    json.dumps(found, allow_nan=False)


def test_a_config_and_its_bases(tmp_path: Path) -> None:
    found = described(write_run(tmp_path, lr=0.5))['config']
    assert found['name'] == 'upernet_seq2d_nano_shapes.py'
    assert ['model.decode_head.num_classes', '150', '9'] in found['file']
    changes = {key: (old, new) for key, old, new in found['run']}
    assert changes['optim_wrapper.optimizer.lr'] == ('0.005', '0.5')
    assert changes['train_cfg'][1] is None
    assert not {'work_dir', 'randomness.seed', 'variable'} & set(changes)


def test_a_config_that_is_nowhere_is_noted(tmp_path: Path) -> None:
    report = json.loads((write_run(tmp_path) / 'metrics.json').read_text())
    (tmp_path / 'metrics.json').write_text(json.dumps(report | dict(config='own.py')))
    found = described(tmp_path)
    assert found['config']['file'] == found['config']['run'] == []
    assert found['notes'] == ['config own.py is not in the configs of mmseq, so its bases are unknown']
    configs = tmp_path / 'configs'
    configs.mkdir()
    (configs / 'own.py').write_text(f'_base_ = {str(CONFIGS / "upernet_seq2d_nano_shapes.py")!r}\nlog_level = 5\n')
    found = describe.describe_run(read_runs([tmp_path])[0], configs)
    assert found['config']['file'] == [['log_level', "'INFO'", '5']]
    assert found['notes'] == []


def test_a_run_without_anything_but_metrics(tmp_path: Path) -> None:
    (tmp_path / 'metrics.json').write_text('{"metrics": {"mIoU": 3.0}}')
    found = described(tmp_path)
    assert found['final'] == dict(mIoU=3.0)
    assert found['curves'] == found['per_class'] == found['confusion'] == []
    assert found['notes'] == ['there is no config in the work dir']


def test_long_curves_are_thinned_by_means_and_gaps_stay() -> None:
    assert describe.thin({1: 2.0, 2: float('nan')}) == dict(x=[1, 2], y=[2, None])
    thin = describe.thin({i: float(i) for i in range(10_000)}, 100)
    assert len(thin['x']) == len(thin['y']) == 100
    assert thin['x'] == thin['y']
    assert thin['x'][0] == 49.5


@pytest.mark.parametrize(
    'seconds, words', [(0.25, '250 ms'), (12.34, '12.3 s'), (485, '8 min 05 s'), (11520, '3 h 12 min'), (None, None)]
)
def test_times_in_words(seconds: float | None, words: str | None) -> None:
    assert describe.duration(seconds) == words


def test_confusion_of_pixels_and_of_objects(tmp_path: Path) -> None:
    (found,) = described(write_run(tmp_path))['confusion']
    assert (found['classes'], found['totals'], found['objects']) == (['sky', 'road', 'ghost'], [13, 16, 19], False)
    assert [0, 1, 1] in found['cells']
    assert found['pairs'][0] == ['road', 'ghost', 3, 18.8]
    objects = Confusion(('cat', 'dog'), np.array([[5, 1, 2], [0, 4, 0], [3, 0, 0]]), objects=True)
    found = describe.describe_confusion(objects)
    assert found['classes'] == ['cat', 'dog', 'background']
    assert found['cells'] == [[0, 0, 5], [0, 1, 1], [0, 2, 2], [1, 1, 4], [2, 0, 3]]
    assert found['pairs'] == [['cat', 'dog', 1, 12.5]]


def test_classes_that_never_occur_have_no_cells() -> None:
    found = describe.describe_confusion(Confusion(('a', 'b', 'c'), np.array([[5, 0, 1], [0, 0, 0], [0, 0, 0]]), False))
    assert (found['classes'], found['left_out'], found['totals']) == (['a', 'c'], 0, [6, 0])
    assert found['cells'] == [[0, 0, 5], [0, 1, 1]]


def test_of_many_classes_the_frequent_ones_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(describe, 'CLASSES', 2)
    found = describe.describe_confusion(Confusion(('a', 'b', 'c'), np.array([[5, 0, 0], [1, 1, 0], [0, 0, 9]]), False))
    assert (found['classes'], found['left_out'], found['totals']) == (['a', 'c'], 1, [5, 9])
    assert found['cells'] == [[0, 0, 5], [1, 1, 9]]


def test_an_empty_confusion_matrix_is_noted(tmp_path: Path) -> None:
    write_csv(write_run(tmp_path) / 'confusion_matrix.csv', [['', 'a', 'b'], ['a', 0, 0], ['b', 0, 0]])
    found = described(tmp_path)
    assert found['confusion'] == []
    assert 'counts nothing' in found['notes'][0]


def test_tables_are_numbered_and_damaged_ones_named(tmp_path: Path) -> None:
    write_run(tmp_path)
    write_csv(tmp_path / 'per_class_2.csv', [['class', 'Dice'], ['sky', 1.5]])
    assert described(tmp_path)['per_class'][1]['rows'] == [['sky', 1.5]]
    (tmp_path / 'per_class_2.csv').write_text('class,Dice\nsky,1.5,3\n')
    with pytest.raises(InputError, match=r'per_class_2.csv: not a table of 2 columns'):
        described(tmp_path)
    (tmp_path / 'per_class_2.csv').write_text('class,Dice\nsky,good\n')
    with pytest.raises(InputError, match=r'per_class_2.csv: .*good'):
        described(tmp_path)


def test_values_as_a_config_has_them() -> None:
    value = dict(lr=0.1, type='SGD', keys={'a.b': (1, None)})
    assert describe.as_config(value) == "dict(type='SGD', lr=0.1, keys={'a.b': [1, None]})"

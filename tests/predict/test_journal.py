"""What an earlier start has finished counts as long as sources, results and options are the same."""

import json
import os

import pytest

from mmseq.predict.coco_results import Found
from mmseq.predict.journal import Journal, identity_of, read_lines

IDENTITY = dict(config='c.py', score_thr=0.3)


@pytest.fixture
def work(tmp_path):
    """A source, the folder of results, and what is noted of it."""
    source, out = tmp_path / 'a.png', tmp_path / 'out'
    source.write_text('pixels')
    (out / 'maps').mkdir(parents=True)
    (out / 'maps' / 'a.png').write_text('labels')
    row = dict(file_name=str(source), map='maps/a.png')
    Journal(out, IDENTITY).add(str(source), 'a', [(row, Found(dict(file_name='a'), [dict(category_id=1)]))])
    return source, out, row


def test_it_is_read_back(work):
    source, out, row = work
    journal = Journal(out, IDENTITY)
    assert len(journal) == 1
    assert journal.has(str(source), 'a')
    assert not journal.has(str(source), 'a_2')
    assert list(journal.entries()) == [[(row, Found(dict(file_name='a'), [dict(category_id=1)]))]]


def test_what_makes_it_begin_anew(work):
    source, out, _ = work
    content = (out / 'finished.jsonl').read_bytes()
    assert len(Journal(out, dict(IDENTITY, score_thr=0.5))) == 0
    assert not (out / 'finished.jsonl').exists()
    (out / 'finished.jsonl').write_bytes(content)
    assert len(Journal(out, IDENTITY, anew=True)) == 0
    (out / 'finished.jsonl').write_bytes(content)
    os.utime(source, (1, 1))
    assert len(Journal(out, IDENTITY)) == 0


def test_a_lost_result_is_not_finished(work):
    _, out, _ = work
    (out / 'maps' / 'a.png').unlink()
    assert len(Journal(out, IDENTITY)) == 0


def test_a_torn_line_is_left_out_and_the_last_of_a_name_counts(work):
    source, out, row = work
    later = dict(row, later=True)
    Journal(out, IDENTITY).add(str(source), 'a', [(later, Found({}))])
    with (out / 'finished.jsonl').open('a') as file:
        file.write('{"name": "b", "sour')
    (entry,) = Journal(out, IDENTITY).entries()
    assert entry[0][0]['later']
    assert len(read_lines(out / 'finished.jsonl')) == 3


def test_another_checkpoint_is_another_identity(tmp_path):
    path = tmp_path / 'a.pth'
    path.write_text('a')
    first = identity_of(dict(score=0.3), [str(path), 'https://b', None])
    assert json.loads(json.dumps(first)) == first
    path.write_text('ab')
    assert identity_of(dict(score=0.3), [str(path), 'https://b', None]) != first

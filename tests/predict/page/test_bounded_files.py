"""Uploads and drawn pictures take a bounded part of the disk."""

import asyncio
import os

import pytest

from mmseq.predict.page.bounded_files import BoundedFiles


@pytest.mark.parametrize('method, left', [('POST', ['b', 'c']), ('GET', ['a', 'b', 'c'])])
def test_the_oldest_files_go_before_more_may_come(tmp_path, monkeypatch, method, left):
    for name in 'abc':
        (tmp_path / name).write_bytes(bytes(40))
    # Of another program's in the same folder.
    (tmp_path / 'foreign').write_bytes(bytes(10**4))
    ages = {name: number for number, name in enumerate('abc')}
    stat = os.stat

    class Aged:
        def __init__(self, path):
            self.st_mode, self.st_size = stat(path).st_mode, stat(path).st_size
            self.st_ctime = ages[path.name]

    monkeypatch.setattr('pathlib.Path.stat', lambda path, **_: Aged(path))
    asked = []

    async def app(scope, receive, send):
        asked.append(scope['method'])

    sets = [{str(tmp_path / 'a'), str(tmp_path / 'b')}, {str(tmp_path / 'c')}]
    asyncio.run(BoundedFiles(app, sets, 100)(dict(type='http', method=method), None, None))
    assert asked == [method]
    monkeypatch.undo()
    assert sorted(path.name for path in tmp_path.iterdir()) == [*left, 'foreign']

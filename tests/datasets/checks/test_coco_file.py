"""What a file is that is no JSON."""

import json
from pathlib import Path

import pytest

from mmseq.datasets.checks.coco_file import read_images, read_json
from mmseq.errors import InputError

TEXT = json.dumps(dict(images=['ä']), ensure_ascii=False)


@pytest.mark.parametrize(
    'raw, said',
    [
        (TEXT.encode('utf-8-sig'), 'begins with a byte order mark'),
        (TEXT.encode('utf-16'), 'is UTF-16'),
        (TEXT.encode('latin-1'), 'is not UTF-8 (0xe4 is no character)'),
        (b'\x1f\x8b\x08\x00', 'is packed by gzip; unpack it'),
        (b'PK\x03\x04rest', 'is a zip archive; unpack it'),
        (b'<!DOCTYPE html>', 'holds HTML'),
        (TEXT.encode()[:-1], 'is not whole JSON'),
    ],
)
def test_no_json(raw: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / 'a.json').write_bytes(raw)
    with pytest.raises(InputError) as error:
        read_json(str(tmp_path / 'a.json'))
    assert said in str(error.value)
    assert '; ' in str(error.value)


def test_each_kind_of_file_names_its_images_in_its_own_way() -> None:
    size = dict(id=1, height=4, width=4)
    url = 'http://images.cocodataset.org/train2017/000000000009.jpg'
    for naming, row, name in (
        ('coco', dict(file_name='a.jpg'), 'a.jpg'),
        ('lvis_v1', dict(coco_url=url), 'train2017/000000000009.jpg'),
        ('lvis_v0.5', dict(file_name='COCO_val2014_000000000009.jpg'), '000000000009.jpg'),
    ):
        assert read_images('file', dict(images=[{**size, **row}]), naming)[0]['file_name'] == name
    with pytest.raises(InputError, match=r"images\[0\] has no 'coco_url'"):
        read_images('file', dict(images=[dict(size, file_name='a.jpg')]), 'lvis_v1')

"""Which class each image has: folders, lists, and what is refused."""

import pytest

from mmseq.classify.classes import Classes
from mmseq.classify.labelled import images_of, kind_of, read_folders, read_list
from mmseq.errors import InputError

CLASSES = Classes(('cat', 'dog', 'fox'), {'cat': 0, 'dog': 1, 'fox': 2})
NUMBERED = Classes(('class 0', 'class 1', 'class 2'))


@pytest.fixture
def root(tmp_path):
    for name in ('fox/1.JPEG', 'cat/b/2.png', 'cat/1.jpg', 'cat/note.txt'):
        (tmp_path / 'val' / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / 'val' / name).touch()
    return tmp_path / 'val'


def test_folders_by_their_names(root):
    found = read_folders(root, CLASSES)
    assert [path.removeprefix(f'{root}/') for path in found.paths] == ['cat/1.jpg', 'cat/b/2.png', 'fox/1.JPEG']
    assert found.labels == (0, 0, 2)
    with pytest.raises(InputError, match='2 folders, of which cat is none of the 3 classes'):
        read_folders(root, NUMBERED)
    (root / 'aardvark').mkdir()
    # As many as classes: by order, aardvark the first.
    assert read_folders(root, NUMBERED).labels == (1, 1, 2)


def test_lists(tmp_path):
    file = tmp_path / 'val.txt'
    file.write_text('a b.jpg 2\n\nc.jpg\tdog\n')
    found = read_list(file, CLASSES)
    assert found.paths == (str(tmp_path / 'a b.jpg'), str(tmp_path / 'c.jpg'))
    assert found.labels == (2, 1)
    for line, said in (('a.jpg 3', "'3' is none of the 3 classes"), ('a.jpg', 'expected a path and a class')):
        file.write_text(f'a.jpg 1\n{line}\n')
        with pytest.raises(InputError, match=f'val.txt: line 2: .*{said}'):
            read_list(file, CLASSES)
    file.write_text('\n')
    with pytest.raises(InputError, match='is empty; expected a path'):
        read_list(file, CLASSES)


def test_kinds(root, tmp_path):
    assert kind_of(root) == 'folders'
    assert kind_of(root / 'cat') == 'images'
    assert kind_of(root / 'cat/1.jpg') == 'images'
    assert kind_of(root / 'cat/note.txt') == 'list'
    assert images_of(root / 'cat') == [str(root / 'cat/1.jpg')]
    (tmp_path / 'c/fog/1/cat').mkdir(parents=True)
    assert kind_of(tmp_path / 'c') == 'corruptions'
    for path, said in ((tmp_path / 'c/fog/1/cat', 'neither images'), (tmp_path / 'no', 'no such file or folder')):
        with pytest.raises(InputError, match=said):
            kind_of(path)
    with pytest.raises(InputError, match='no images in its folders'):
        read_folders(tmp_path / 'c/fog/1', CLASSES)

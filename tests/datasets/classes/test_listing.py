"""Files of images and lists of them, by one rule for training and for classification."""

from pathlib import Path

import pytest

from mmseq.datasets.classes.listing import class_folders, pictures, pictures_below, read_lines, read_list
from mmseq.errors import InputError


def test_images_are_known_by_their_suffix(tmp_path):
    for name in ('b.JPG', 'a.tif', 'c.npy', '._b.JPG', 'd.txt', 'inner/e.webp', '.cache/f.png'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    # PIL opens no .npy, and other systems leave hidden files behind.
    assert pictures(tmp_path) == [str(tmp_path / 'a.tif'), str(tmp_path / 'b.JPG')]
    assert str(tmp_path / 'inner/e.webp') in pictures_below(tmp_path)
    assert class_folders(tmp_path) == [tmp_path / 'inner']


def test_lines_have_a_path_and_a_class(tmp_path):
    file = tmp_path / 'list.txt'
    file.write_text('a b.png 0\n\nval 1.png\ttabby cat\t0\t32\n')
    assert read_lines(file) == [(1, 'a b.png', '0'), (3, 'val 1.png', 'tabby cat')]
    found = read_list(file, {'tabby cat': 1}, 2)
    assert found.paths == (str(tmp_path / 'a b.png'), str(tmp_path / 'val 1.png'))
    assert found.labels == (0, 1)


@pytest.mark.parametrize(
    'content, said', [(b'\xff\xd8\xff', 'is no image, and no text'), (b' \n', 'is empty; expected a path and a class')]
)
def test_what_is_no_list_is_one_line(tmp_path: Path, content, said):
    (tmp_path / 'list.txt').write_bytes(content)
    with pytest.raises(InputError, match=said) as caught:
        read_lines(tmp_path / 'list.txt')
    assert '\n' not in str(caught.value)

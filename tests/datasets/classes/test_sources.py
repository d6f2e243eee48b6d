"""Each layout of images with classes gives the same images, and what is none says what is expected."""

import shutil

import pytest

from mmseq.datasets.classes.sources import read_classes
from mmseq.errors import InputError
from tests.datasets.classes.folders import class_folders, write


def flat_val(root, lines, name, folder='val'):
    """Put the validation images into one folder, and a list of them where it is looked for."""
    shutil.rmtree(root / 'val')
    write(root / folder, [0, 1, 2], 'v{number}.png')
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_text(''.join(f'{line}\n' for line in lines))


def test_class_folders(tmp_path):
    found = read_classes(str(class_folders(tmp_path)))
    assert found.names == ('c0', 'c1', 'c2')
    assert found.train.labels == (0,) * 8 + (1,) * 8 + (2,) * 8
    assert found.val.labels == (0,) * 4 + (1,) * 4 + (2,) * 4
    assert all(f'/train/c{label}/' in path for path, label in zip(found.train.paths, found.train.labels))
    assert all(f'/val/c{label}/' in path for path, label in zip(found.val.paths, found.val.labels))
    assert found.notes == ()


def test_tiny_imagenets_own_layout(tmp_path):
    class_folders(tmp_path, images='images')
    flat_val(
        tmp_path,
        [f'v{i}.png\tc{i}\t0\t32\t44\t62' for i in (2, 0, 1)],
        'val/val_annotations.txt',
        'val/images',
    )
    found = read_classes(str(tmp_path))
    assert len(found.train.paths) == 24
    assert found.val.labels == (2, 0, 1)
    assert [path.rpartition('/')[2] for path in found.val.paths] == ['v2.png', 'v0.png', 'v1.png']
    assert all('/val/images/' in path for path in found.val.paths)


@pytest.mark.parametrize('name', ['val.txt', 'meta/val.txt', 'val/val.txt'])
def test_imagenets_validation_folder_with_a_list_of_numbers(tmp_path, name):
    class_folders(tmp_path)
    flat_val(tmp_path, ['v0.png 0', 'v1.png 1', '', 'v2.png 2'], name)
    assert read_classes(str(tmp_path)).val.labels == (0, 1, 2)


def test_classes_without_parts_keep_a_tenth_for_validation(tmp_path):
    class_folders(tmp_path, train=20)
    found = read_classes(str(tmp_path / 'train'))
    assert found.names == ('c0', 'c1', 'c2')
    assert sorted(found.val.labels) == [0, 0, 1, 1, 2, 2]
    assert not set(found.train.paths) & set(found.val.paths)
    assert len(found.train.paths) + len(found.val.paths) == 60
    assert found.notes == ('no part for validation: 6 of 60 images are kept for it, a tenth of every class',)
    assert read_classes(str(tmp_path / 'train')) == found


@pytest.mark.parametrize('words', [('cat', 'dog'), ('0', '1')])
def test_a_list(tmp_path, words):
    write(tmp_path / 'my images', [0, 1] * 10, '{number}.png')
    lines = [f'my images/{i}.png {words[i % 2]}' for i in range(20)]
    (tmp_path / 'all.txt').write_text('\n'.join(lines))
    found = read_classes(str(tmp_path / 'all.txt'))
    assert found.names == words
    assert len(found.train.paths) == 18
    for path, label in zip(found.train.paths, found.train.labels):
        assert int(path.rpartition('/')[2].removesuffix('.png')) % 2 == label


def test_lists_beside_each_other(tmp_path):
    write(tmp_path, [0, 1, 0, 1], '{number}.png')
    (tmp_path / 'train.txt').write_text('0.png a\n1.png b\n')
    (tmp_path / 'val.txt').write_text('2.png a\n3.png b\n')
    for data in (tmp_path, tmp_path / 'train.txt'):
        found = read_classes(str(data))
        assert (len(found.train.paths), found.val.labels) == (2, (0, 1))


def broken(root, name):
    """A folder with a fault."""
    folder = root / name
    if name == 'no images':
        (folder / 'train' / 'cat').mkdir(parents=True)
    elif name == 'empty':
        folder.mkdir()
    elif name == 'one class':
        write(folder / 'cat', [0, 0, 0])
    elif name == 'one image':
        write(folder / 'cat', [0])
        write(folder / 'dog', [0])
    elif name == 'other classes':
        class_folders(folder)
        (folder / 'val' / 'c2').rename(folder / 'val' / 'horse')
    elif name == 'list':
        class_folders(folder)
        flat_val(folder, ['v0.png 0', 'v1.png 7'], 'val.txt')
    elif name == 'words':
        folder.mkdir()
        (folder / 'train.txt').write_text('a.png cat\nb.png\n')
    return str(folder)


@pytest.mark.parametrize(
    'name, message',
    [
        ('absent', 'absent: no such folder or list; expected folders DATA/train/CLASS'),
        ('empty', 'no folder of a class with images in it; expected'),
        ('no images', 'train: no folder of a class with images in it; expected'),
        ('one class', '1 class: cat; a classifier needs two or more'),
        ('one image', '2 images to train on and 0 for validation; at least 2 and 1 are needed'),
        ('other classes', r'val: 1 classes that .*train has not, first horse'),
        ('list', "val.txt: line 2: '7' is none of the 3 classes; expected a name, or a number of 0..2"),
        ('words', "train.txt: line 2: 'b.png': expected a path and a class"),
    ],
)
def test_bad_data_is_one_line(tmp_path, name, message):
    with pytest.raises(InputError, match=message) as caught:
        read_classes(broken(tmp_path, name))
    assert '\n' not in str(caught.value)

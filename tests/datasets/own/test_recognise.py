"""What a source is, and one line for what is none, several, or damaged."""

import json
from pathlib import Path

import pytest
from PIL import Image

from mmseq.datasets.own.importing import import_data
from mmseq.datasets.own.recognise import FORMATS, recognise
from mmseq.datasets.own.tree import Tree
from mmseq.errors import InputError
from tests.datasets.own import exports
from tests.datasets.own.exports import Truth
from tests.datasets.own.reading import picture, pictures, write

OBJECTS = exports.BOXES | exports.INSTANCES


@pytest.mark.parametrize('kind', OBJECTS)
def test_formats_are_told_apart(kind: str, made: list[Truth], tmp_path: Path) -> None:
    OBJECTS[kind](tmp_path / 'source', made)
    assert recognise(Tree([tmp_path / 'source']))[0].key == kind.split('_')[0]


def test_every_format_has_an_export_in_the_tests() -> None:
    assert {one.key for one in FORMATS} == {kind.split('_')[0] for kind in OBJECTS} | {'maps'}


def refused(sources: list[Path] | Path, tmp_path: Path, **options: object) -> str:
    """The one line that an import is refused with, which leaves nothing behind."""
    before = sorted(tmp_path.rglob('*'))
    with pytest.raises(InputError) as raised:
        import_data(sources, tmp_path / 'out', **options)
    assert '\n' not in str(raised.value)
    assert sorted(tmp_path.rglob('*')) == before
    return str(raised.value)


def test_absent_empty_and_foreign_folders(tmp_path: Path) -> None:
    assert 'no such file or folder' in refused(tmp_path / 'nowhere', tmp_path)
    (tmp_path / 'empty').mkdir()
    assert 'the folder is empty' in refused(tmp_path / 'empty', tmp_path)
    write(tmp_path / 'foreign' / 'notes.txt', 'hello world\n')
    write(tmp_path / 'foreign' / 'table.json', dict(rows=[]))
    line = refused(tmp_path / 'foreign', tmp_path)
    assert 'no labels that are known; there are 1 .txt, 1 .json; looked for ' in line or '1 .json, 1 .txt' in line
    for one in FORMATS:
        assert one.looked_for in line
    write(tmp_path / 'packed' / 'data.zip', 'PK')
    assert 'unpack data.zip' in refused(tmp_path / 'packed', tmp_path)
    pictures(tmp_path / 'bare', 'a.jpg', 'b.jpg')
    assert 'there are 2 .jpg' in refused(tmp_path / 'bare', tmp_path)


def test_mixed_formats_are_listed_and_chosen_among(made: list[Truth], tmp_path: Path) -> None:
    exports.voc(tmp_path / 'source', made)
    exports.cvat(tmp_path / 'source', made)
    (tmp_path / 'source' / 'images').rename(tmp_path / 'images')
    line = refused(tmp_path / 'source', tmp_path)
    assert 'holds labels of several formats: Pascal VOC XML (6), CVAT XML (1); choose with --format voc' in line
    assert import_data(tmp_path / 'source', tmp_path / 'a', format='voc').task == 'boxes'
    assert import_data(tmp_path / 'source', tmp_path / 'b', format='cvat').task == 'instances'
    assert 'no labels that are known' in refused(tmp_path / 'source', tmp_path, format='yolo')


def test_the_task_chooses_between_label_maps_and_boxes(made: list[Truth], tmp_path: Path) -> None:
    exports.voc(tmp_path / 'source', made)
    exports.maps(tmp_path / 'maps', made, Image.fromarray)
    (tmp_path / 'maps' / 'masks').rename(tmp_path / 'source' / 'SegmentationClass')
    assert 'Pascal VOC XML (6), label maps (6)' in refused(tmp_path / 'source', tmp_path)
    assert import_data(tmp_path / 'source', tmp_path / 'a', task='boxes').task == 'boxes'
    assert import_data(tmp_path / 'source', tmp_path / 'b', task='semantic').task == 'semantic'


def test_the_notes_of_label_studio_beside_yolo_are_no_coco_json(made: list[Truth], tmp_path: Path) -> None:
    exports.yolo(tmp_path / 'source', made)
    (tmp_path / 'source' / 'data.yaml').unlink()
    write(tmp_path / 'source' / 'classes.txt', 'ant\nbee\ncow\n')
    write(tmp_path / 'source' / 'notes.json', dict(categories=[dict(id=0, name='ant')], info=dict(year=2026)))
    assert recognise(Tree([tmp_path / 'source']))[0].key == 'yolo'


@pytest.mark.parametrize('kind', ['coco', 'labelme', 'cvat', 'voc'])
def test_torn_files_are_named(kind: str, made: list[Truth], tmp_path: Path) -> None:
    OBJECTS[kind](tmp_path / 'source', made)
    path = next(path for path in sorted((tmp_path / 'source').rglob('*')) if path.suffix in ('.json', '.xml'))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    assert str(path) in refused(tmp_path / 'source', tmp_path)


@pytest.mark.parametrize('text', [b'\xff\xfe{', b'{"images": [], "categories": [\xff'])
def test_other_encodings_are_named(text: bytes, tmp_path: Path) -> None:
    pictures(tmp_path / 'source', 'a.jpg')
    (tmp_path / 'source' / 'labels.json').write_bytes(text)
    assert 'labels.json' in refused(tmp_path / 'source' / 'labels.json', tmp_path) or text.startswith(b'\xff\xfe')


def test_a_byte_order_mark_is_no_fault(made: list[Truth], tmp_path: Path) -> None:
    exports.labelme(tmp_path / 'source', made)
    for path in (tmp_path / 'source').glob('*.json'):
        path.write_bytes(b'\xef\xbb\xbf' + path.read_bytes())
    assert import_data(tmp_path / 'source', tmp_path / 'out').classes == ('ant', 'bee', 'cow')


def test_two_labels_of_one_image_are_named(made: list[Truth], tmp_path: Path) -> None:
    exports.labelme(tmp_path / 'source', made)
    path = tmp_path / 'source' / 'photo 1.json'
    write(tmp_path / 'source' / 'more' / 'photo 1.json', path.read_text().replace('"photo 1', '"../photo 1'))
    line = refused(tmp_path / 'source', tmp_path)
    assert '1 images have two labels, first ' in line
    assert 'more/photo 1.json' in line


def test_no_image_at_all(made: list[Truth], tmp_path: Path) -> None:
    exports.coco(tmp_path / 'source', made)
    for path in (tmp_path / 'source').rglob('*.png'):
        path.unlink()
    line = refused(tmp_path / 'source', tmp_path)
    assert 'no image can be read; images that are not there, left out: 6' in line
    assert line.endswith('; give the folder of the images as well')


def test_pointers_in_the_place_of_images_are_named(made: list[Truth], tmp_path: Path) -> None:
    exports.cvat(tmp_path / 'source', made)
    labels = tmp_path / 'source' / 'annotations.xml'
    labels.write_text(labels.read_text().replace('</image>', '<points label="ant" points="1,2"/></image>'))
    for path in (tmp_path / 'source').rglob('*.png'):
        path.write_text('version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n')
    line = refused(tmp_path / 'source', tmp_path)
    assert 'no image can be read; images that cannot be read (undecodable), left out: 6, first photo 0.png; ' in line
    assert line.endswith('photo 0.png: is a pointer of Git LFS instead of the file; run git lfs pull')


def test_damaged_images_are_left_out_and_counted(made: list[Truth], tmp_path: Path) -> None:
    exports.cvat(tmp_path / 'source', made)
    torn = tmp_path / 'source' / 'images' / 'photo 1.png'
    torn.write_bytes(torn.read_bytes()[:900])
    (tmp_path / 'source' / 'images' / 'photo 2.png').write_bytes(b'')
    told: list[str] = []
    card = import_data(tmp_path / 'source', tmp_path / 'out', tell=told.append)
    assert sum(len(json.loads(part.labels.read_text())['images']) for part in card.parts.values()) == 4
    text = '\n'.join(told)
    assert 'images that cannot be read (truncated), left out: 1, first photo 1.png' in text
    assert 'images that cannot be read (zero_bytes), left out: 1, first photo 2.png' in text


def test_labels_and_images_may_be_named_apart(made: list[Truth], tmp_path: Path) -> None:
    exports.cvat(tmp_path / 'source', made)
    (tmp_path / 'source' / 'images').rename(tmp_path / 'photos')
    card = import_data([tmp_path / 'source' / 'annotations.xml', tmp_path / 'photos'], tmp_path / 'out')
    assert card.train.images == tmp_path / 'photos'


def test_what_is_hidden_or_written_before_is_no_source(made: list[Truth], tmp_path: Path) -> None:
    exports.labelme(tmp_path / 'source', made)
    write(tmp_path / 'source' / '.cache' / 'a.json', '{"shapes": [')
    write(tmp_path / 'source' / '__MACOSX' / 'b.json', '{"shapes": [')
    (tmp_path / 'source' / 'loop').symlink_to(tmp_path / 'source')
    for overwrite in (False, True):
        import_data(tmp_path / 'source', tmp_path / 'source' / 'out', overwrite=overwrite)


def test_links_to_folders_are_followed(made: list[Truth], tmp_path: Path) -> None:
    exports.cvat(tmp_path / 'source', made)
    (tmp_path / 'source' / 'images').rename(tmp_path / 'photos')
    (tmp_path / 'source' / 'images').symlink_to(tmp_path / 'photos')
    assert import_data(tmp_path / 'source', tmp_path / 'out').train.images == tmp_path / 'source' / 'images'


def test_of_images_of_one_name_the_nearest_is_taken(tmp_path: Path) -> None:
    for seed, part in enumerate(('train', 'valid')):
        picture(tmp_path / 'source' / part / 'images' / 'a.jpg', seed)
    tree = Tree([tmp_path / 'source'])
    for part in ('train', 'valid'):
        near = tmp_path / 'source' / 'labels' / f'{part}.json'
        assert tree.image('C:\\data\\a.jpg', near) == tmp_path / 'source' / part / 'images' / 'a.jpg'
    assert tree.image('valid/images/A.JPG', tmp_path / 'x.json') == tmp_path / 'source' / 'valid' / 'images' / 'a.jpg'
    assert tree.image('b.jpg', tmp_path / 'x.json') is None

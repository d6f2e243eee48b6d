"""Each fault of a data set is found before training and named in one line that says what to do."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mmseq
from mmseq.datasets.checks import Use, examine_coco, examine_seg
from mmseq.datasets.checks.findings import spaced
from mmseq.datasets.shapes import SEG_CLASSES, SHAPES_CLASSES, generate
from mmseq.errors import InputError

COUNT = len(SHAPES_CLASSES)
SEG_COUNT = len(SEG_CLASSES)
REAL_DATA = Path(os.environ.get('MMSEQ_TEST_DATA', Path(mmseq.__file__).parents[1] / '../shared/data'))


@pytest.fixture(scope='module')
def pristine(tmp_path_factory) -> Path:
    return generate(tmp_path_factory.mktemp('checks') / 'shapes', train=6, val=2, size=(64, 80)).root


@pytest.fixture
def root(pristine: Path, tmp_path: Path) -> Path:
    return shutil.copytree(pristine, tmp_path / 'shapes')


def _coco(root: Path, **changed) -> None:
    options = {'classes': SHAPES_CLASSES, 'num_classes': COUNT} | changed
    ann_file = str(root / 'coco/annotations/instances_train2017.json')
    examine_coco(ann_file, str(root / 'coco/train2017'), **options).raise_first()


def _seg_folders(root: Path) -> tuple[Path, Path]:
    ade = root / 'ade/ADEChallengeData2016'
    return ade / 'images/training', ade / 'annotations/training'


def _seg(root: Path, **changed) -> None:
    images, labels = _seg_folders(root)
    options = {
        'img_suffix': '.png',
        'seg_suffix': '.png',
        'num_classes': SEG_COUNT,
        'reduce_zero_label': True,
        'classes': SEG_CLASSES,
    } | changed
    examine_seg(str(images), str(labels), **options).raise_first()


def _message(check: Callable[..., None], *args, **options) -> str:
    with pytest.raises(InputError) as caught:
        check(*args, **options)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    # What is wrong, then what to do.
    assert ';' in message
    return message


def _edit(root: Path, change: Callable[[dict], None]) -> None:
    path = root / 'coco/annotations/instances_train2017.json'
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_sound_data_passes(root: Path) -> None:
    _coco(root)
    _coco(root, classes=None, num_classes=None)
    _coco(root, classes=SHAPES_CLASSES[2:5], num_classes=3)
    _seg(root)
    _seg(root, classes=None)
    _seg(root, num_classes=None)
    _seg(root, classes=None, num_classes=SEG_COUNT + 1, reduce_zero_label=False)


def test_missing_annotation_file(root: Path) -> None:
    (root / 'coco/annotations/instances_train2017.json').unlink()
    assert 'instances_train2017.json: no such annotation file' in _message(_coco, root)


def test_empty_annotation_file(root: Path) -> None:
    (root / 'coco/annotations/instances_train2017.json').write_text('')
    assert 'instances_train2017.json: is empty (0 bytes)' in _message(_coco, root)


@pytest.mark.parametrize('keep', [1, 200, -1])
def test_torn_annotation_file(root: Path, keep: int) -> None:
    path = root / 'coco/annotations/instances_train2017.json'
    path.write_bytes(path.read_bytes()[:keep])
    message = _message(_coco, root)
    assert 'instances_train2017.json: is not whole JSON' in message
    assert 'fetch it again' in message


def test_annotation_file_of_another_encoding(root: Path) -> None:
    (root / 'coco/annotations/instances_train2017.json').write_bytes(b'\xff\xfe\x00')
    assert 'is UTF-16' in _message(_coco, root)


@pytest.mark.parametrize(
    'content, message',
    [
        ([], 'holds a list instead of an object'),
        ({}, "has no list 'images' (holds nothing)"),
        ({'images': {}, 'shapes': 1}, "has no list 'images' (holds 'images', 'shapes')"),
        ({'images': []}, "'images' is empty"),
        ({'images': [1]}, 'images[0] is a int'),
        ({'images': [{'id': 1, 'file_name': 'a', 'height': 3}]}, "images[0] has no 'width'"),
    ],
)
def test_other_json(root: Path, content: object, message: str) -> None:
    (root / 'coco/annotations/instances_train2017.json').write_text(json.dumps(content))
    assert message in _message(_coco, root)


def test_annotation_without_field(root: Path) -> None:
    _edit(root, lambda content: content['annotations'][2].pop('bbox'))
    assert "annotations[2] has no 'bbox'" in _message(_coco, root)


def test_annotation_with_odd_box(root: Path) -> None:
    _edit(root, lambda content: content['annotations'][2].update(bbox=[1, 2, 3]))
    assert 'annotation 3 has bbox [1, 2, 3]' in _message(_coco, root)


def test_no_annotations(root: Path) -> None:
    _edit(root, lambda content: content.update(annotations=[]))
    assert "'annotations' is empty" in _message(_coco, root)


@pytest.mark.parametrize('key', ['images', 'categories', 'annotations'])
def test_ids_that_stand_twice(root: Path, key: str) -> None:
    _edit(root, lambda content: content[key][1].update(id=1))
    assert f'{key}: 1 ids occur more than once, first 1' in _message(_coco, root)


def test_missing_image_folder(root: Path) -> None:
    shutil.rmtree(root / 'coco/train2017')
    assert 'train2017: no such image folder' in _message(_coco, root)


def test_empty_image_folder(root: Path) -> None:
    shutil.rmtree(root / 'coco/train2017')
    (root / 'coco/train2017').mkdir()
    assert 'train2017: the image folder is empty' in _message(_coco, root)


def test_absent_images(root: Path) -> None:
    for number in (3, 5):
        (root / f'coco/train2017/00000000000{number}.png').unlink()
    message = _message(_coco, root)
    assert '2 of the 6 images' in message
    assert "first '000000000003.png'" in message


def test_images_in_subfolders(root: Path) -> None:
    inner = root / 'coco/train2017/inner'
    inner.mkdir()
    (root / 'coco/train2017/000000000003.png').rename(inner / 'a.png')
    _edit(root, lambda content: content['images'][2].update(file_name='inner/a.png'))
    _coco(root)
    _edit(root, lambda content: content['images'][2].update(file_name='elsewhere/a.png'))
    assert '1 of the 6 images' in _message(_coco, root)


def test_no_class_in_common(root: Path) -> None:
    message = _message(_coco, root, classes=('cat', 'dog'), num_classes=2)
    assert "class names differ: the config has 'cat', 'dog', the file 'circle', 'square'" in message


def test_some_classes_missing(root: Path) -> None:
    message = _message(_coco, root, classes=(*SHAPES_CLASSES, 'cat', 'Star'), num_classes=COUNT + 2)
    assert "2 of the 10 classes are not among its categories: 'cat', 'Star'" in message


def test_classes_in_another_order(root: Path) -> None:
    message = _message(_coco, root, classes=('circle', 'triangle', 'square'), num_classes=3)
    assert "number 1 is 'triangle' in the config, 'square' in the file" in message


def test_upstream_mixes_up_classes_in_another_order(root: Path) -> None:
    """The reason for the check above; drop both once mmdet numbers its labels by the config."""
    from mmdet.datasets import CocoDataset

    dataset = CocoDataset(
        ann_file=str(root / 'coco/annotations/instances_train2017.json'),
        data_prefix={'img': ''},
        metainfo={'classes': ('square', 'circle')},
    )
    circle = SHAPES_CLASSES.index('circle') + 1
    assert dataset.metainfo['classes'][dataset.cat2label[circle]] == 'square'


def test_classes_that_are_one_text(root: Path) -> None:
    assert "classes='cat': is one string" in _message(_coco, root, classes='cat')
    assert "classes='cat': is one string" in _message(_seg, root, classes='cat')
    for check in (_coco, _seg):
        assert 'classes: number 1 has no name; give it one, or drop it' in _message(check, root, classes=['cat', ' '])


def test_classes_named_twice(root: Path) -> None:
    assert "first 'circle'" in _message(_coco, root, classes=('circle', 'circle'), num_classes=2)


def test_classes_without_annotation(root: Path) -> None:
    def keep(content: dict) -> None:
        content['annotations'] = [ann for ann in content['annotations'] if ann['category_id'] != 1]

    _edit(root, keep)
    assert "is of the classes 'circle'" in _message(_coco, root, classes=('circle',), num_classes=1)


def test_head_of_another_size(root: Path) -> None:
    message = _message(_coco, root, num_classes=80)
    assert f'has {COUNT} classes, but the head num_classes=80' in message
    assert f'has {SEG_COUNT} classes, but the head num_classes=150' in _message(_seg, root, num_classes=150)


@pytest.mark.parametrize('key, known', [('category_id', 'categories'), ('image_id', 'images')])
def test_lost_references(root: Path, key: str, known: str) -> None:
    _edit(root, lambda content: content['annotations'][1].update({key: 99}))
    message = _message(_coco, root)
    assert '1 of ' in message
    assert f'{key} that is not among its {known}, first {key} 99 of annotation 2' in message


@pytest.mark.parametrize('damage', ['empty', 'torn', 'text'])
@pytest.mark.parametrize('check', [_coco, _seg])
def test_broken_image(root: Path, check: Callable[..., None], damage: str) -> None:
    folder = root / 'coco/train2017' if check is _coco else _seg_folders(root)[0]
    path = folder / '000000000006.png'
    whole = path.read_bytes()
    path.write_bytes({'empty': b'', 'torn': whole[: len(whole) // 2], 'text': b'<html>not found</html>'}[damage])
    message = _message(check, root)
    assert message.startswith(str(path))
    assert {'empty': '0 bytes', 'torn': 'truncated', 'text': 'cannot be decoded'}[damage] in message


def test_torn_jpeg(root: Path) -> None:
    path = root / 'coco/train2017/000000000001.png'
    picture = np.asarray(Image.open(path))
    Image.fromarray(picture).save(path, 'JPEG')
    _coco(root)
    path.write_bytes(path.read_bytes()[:-400])
    assert 'truncated' in _message(_coco, root)


def test_image_of_another_size(root: Path) -> None:
    _edit(root, lambda content: content['images'][0].update(height=9, width=7))
    message = _message(_coco, root)
    assert '000000000001.png: is ' in message
    assert 'says 9 x 7' in message


def test_image_turned_by_exif(root: Path) -> None:
    """The loaders turn it, so the annotation has the turned size."""
    path = root / 'coco/train2017/000000000001.png'
    exif = Image.Exif()
    exif[274] = 6
    Image.new('RGB', (70, 60)).save(path, 'JPEG', exif=exif)
    _edit(root, lambda content: content['images'][0].update(height=70, width=60))
    _coco(root)
    _edit(root, lambda content: content['images'][0].update(height=60, width=70))
    assert 'is 70 x 60' in _message(_coco, root)


@pytest.mark.parametrize('which, kind', [(0, 'image'), (1, 'label')])
def test_segmentation_folders(root: Path, which: int, kind: str) -> None:
    folder = _seg_folders(root)[which]
    shutil.rmtree(folder)
    assert f'{folder}: no such {kind} folder' in _message(_seg, root)
    folder.mkdir()
    assert f'{folder}: the {kind} folder is empty' in _message(_seg, root)
    (folder / 'inner').mkdir()
    assert f"{folder}: no file ends with '.png', there are only folders" in _message(_seg, root)


def test_wrong_suffix(root: Path) -> None:
    message = _message(_seg, root, img_suffix='.jpg')
    assert "no file ends with '.jpg', most end with '.png'; correct img_suffix" in message
    assert 'correct seg_map_suffix' in _message(_seg, root, seg_suffix='_labels.png')


def test_images_without_labels(root: Path) -> None:
    labels = _seg_folders(root)[1]
    for number in (2, 6):
        (labels / f'00000000000{number}.png').unlink()
    message = _message(_seg, root)
    assert '2 of 6 images have no label map' in message
    assert "first '000000000002.png'" in message


def test_nested_folders_and_long_suffixes(root: Path) -> None:
    """As Cityscapes has them."""
    for folder, suffix in zip(_seg_folders(root), ('_image.png', '_labels.png')):
        (folder / 'town').mkdir()
        for path in sorted(folder.glob('*.png')):
            path.rename(folder / 'town' / (path.stem + suffix))
    _seg(root, img_suffix='_image.png', seg_suffix='_labels.png')


def _write_labels(root: Path, change: Callable[[np.ndarray], np.ndarray]) -> Path:
    path = _seg_folders(root)[1] / '000000000001.png'
    with Image.open(path) as image:
        labels = np.array(image)
    Image.fromarray(change(labels)).save(path)
    return path


def test_sizes_differ(root: Path) -> None:
    path = _write_labels(root, lambda labels: labels[:-1])
    message = _message(_seg, root)
    assert message.startswith(str(path))
    assert 'but its image is ' in message


def test_coloured_labels(root: Path) -> None:
    path = _write_labels(root, lambda labels: np.stack([labels] * 3, axis=-1))
    assert f'{path}: has 3 channels' in _message(_seg, root)


def test_palette_labels_are_fine(root: Path) -> None:
    path = _seg_folders(root)[1] / '000000000001.png'
    with Image.open(path) as image:
        labels = image.copy()
    labels.putpalette([255, 0, 0] * 256)
    labels.save(path)
    with Image.open(path) as image:
        assert image.mode == 'P'
    _seg(root)


def _with(value: int) -> Callable[[np.ndarray], np.ndarray]:
    def change(labels: np.ndarray) -> np.ndarray:
        labels[0, :5] = value
        return labels

    return change


@pytest.mark.parametrize('value, fine', [(0, True), (1, True), (9, True), (10, False), (254, False), (255, True)])
def test_values_with_zero_reduced(root: Path, value: int, fine: bool) -> None:
    path = _write_labels(root, _with(value))
    if fine:
        _seg(root)
    else:
        message = _message(_seg, root)
        assert (
            f'{path}: label value {value} in 5 pixels; num_classes=9 with reduce_zero_label=True allows 1..9' in message
        )
        assert '0 and 255 as ignore' in message


@pytest.mark.parametrize('value, fine', [(0, True), (9, True), (10, False), (254, False), (255, True)])
def test_values_as_they_are(root: Path, value: int, fine: bool) -> None:
    path = _write_labels(root, _with(value))
    options = {'reduce_zero_label': False, 'classes': None, 'num_classes': 10}
    if fine:
        _seg(root, **options)
    else:
        message = _message(_seg, root, **options)
        assert f'{path}: label value {value} in 5 pixels; num_classes=10' in message
        assert 'allows 0..9, and 255 as ignore' in message


@pytest.mark.parametrize('reduce_zero_label', [False, True])
@pytest.mark.parametrize('value', [0, 1, 9, 10, 254, 255])
def test_verdict_is_that_of_upstream(root: Path, value: int, reduce_zero_label: bool) -> None:
    """A label map passes exactly when upstream's loading leaves it with classes and 255 only."""
    from mmseg.datasets.transforms import LoadAnnotations

    path = _write_labels(root, _with(value))
    loaded = LoadAnnotations(reduce_zero_label=reduce_zero_label)(
        {'seg_map_path': str(path), 'reduce_zero_label': reduce_zero_label, 'seg_fields': []}
    )['gt_seg_map']
    count = SEG_COUNT if reduce_zero_label else SEG_COUNT + 1
    fine = bool(((loaded < count) | (loaded == 255)).all())
    try:
        _seg(root, classes=None, num_classes=count, reduce_zero_label=reduce_zero_label)
    except InputError:
        assert not fine
    else:
        assert fine


def test_hint_when_zero_means_other(root: Path) -> None:
    _write_labels(root, _with(SEG_COUNT))
    message = _message(_seg, root, reduce_zero_label=False)
    assert 'set reduce_zero_label=True' in message


def test_other_ignore_index(root: Path) -> None:
    _write_labels(root, _with(77))
    _seg(root, reduce_zero_label=False, classes=None, num_classes=10, ignore_index=77)
    _write_labels(root, _with(0))
    assert 'set ignore_index=255' in _message(_seg, root, ignore_index=77)


def test_nothing_but_ignore(root: Path) -> None:
    for path in _seg_folders(root)[1].iterdir():
        with Image.open(path) as image:
            size = image.size
        Image.new('L', size, 0).save(path)
    message = _message(_seg, root)
    assert 'the 6 label maps looked at hold nothing but ignored pixels' in message
    assert 'reduce_zero_label' in message
    _seg(root, reduce_zero_label=False, classes=None)


def test_sample_is_evenlyspaced() -> None:
    assert spaced(list(range(100)), 4) == [0, 33, 66, 99]
    assert spaced([1, 2, 3], 64) == [1, 2, 3]
    assert spaced(list(range(10)), 1) == [0]
    assert len(set(spaced(list(range(65)), 64))) == 64


def test_folder_is_listed_not_asked_per_image(root: Path, monkeypatch) -> None:
    monkeypatch.setattr(os.path, 'exists', lambda path: pytest.fail('asked for one file'))
    listed = []
    scandir = os.scandir
    monkeypatch.setattr(os, 'scandir', lambda path: listed.append(path) or scandir(path))
    _coco(root, sample=1)
    assert len(listed) <= 2


needs_real_data = pytest.mark.skipif(
    not (REAL_DATA / 'coco').is_dir(), reason='no real COCO and ADE20K samples; point MMSEQ_TEST_DATA at them'
)


@needs_real_data
@pytest.mark.parametrize('half', ['train', 'val'])
def test_real_coco(half: str) -> None:
    from mmdet.datasets import CocoDataset

    coco = REAL_DATA / 'coco'
    classes = CocoDataset.METAINFO['classes']
    report = examine_coco(str(coco / f'annotations/instances_{half}2017.json'), str(coco / f'{half}2017'), classes, 80)
    assert report.errors() == []


@needs_real_data
@pytest.mark.parametrize('half', ['training', 'validation'])
def test_real_ade(half: str) -> None:
    from mmseg.datasets import ADE20KDataset

    ade = REAL_DATA / 'ade/ADEChallengeData2016'
    classes = ADE20KDataset.METAINFO['classes']
    folders = str(ade / 'images' / half), str(ade / 'annotations' / half)
    assert examine_seg(*folders, '.jpg', '.png', 150, True, classes=classes).errors() == []


def _counts(report) -> dict[str, tuple[str, int]]:
    return {kind: (finding.level, finding.count) for kind, finding in report.findings.items()}


def _coco_report(root: Path, **options):
    ann_file = root / 'coco/annotations/instances_train2017.json'
    return examine_coco(str(ann_file), str(root / 'coco/train2017'), SHAPES_CLASSES, COUNT, **options)


def _seg_report(root: Path, **changed):
    options = dict(num_classes=SEG_COUNT, reduce_zero_label=True, classes=SEG_CLASSES) | changed
    return examine_seg(*map(str, _seg_folders(root)), '.png', '.png', **options)


def test_several_faults_are_counted_and_the_first_is_raised(root: Path) -> None:
    def spoil(content: dict) -> None:
        content['annotations'][0]['image_id'] = 99
        content['annotations'][1]['image_id'] = 98
        content['images'][0]['height'] += 1

    _edit(root, spoil)
    (root / 'coco/train2017/000000000003.png').write_bytes(b'')
    (root / 'coco/train2017/000000000004.png').unlink()
    report = _coco_report(root)
    errors = {kind: count for kind, (level, count) in _counts(report).items() if level == 'error'}
    assert errors == {'unknown_image_id': 2, 'missing': 1, 'zero_bytes': 1, 'wrong_size': 1}
    assert report.findings['zero_bytes'].examples == [str(root / 'coco/train2017/000000000003.png')]
    with pytest.raises(InputError, match='image_id that is not among its images'):
        report.raise_first()


@pytest.mark.parametrize(
    'box, kind',
    [([500, 500, 9, 9], 'outside_boxes'), ([3, 3, 0, 5], 'empty_boxes'), ([3, 3, 900, 5], 'protruding_boxes')],
)
def test_boxes(root: Path, box: list[int], kind: str) -> None:
    """One of many is dropped by the loader, most are another format; too large ones are cut."""
    _edit(root, lambda content: content['annotations'][0].update(bbox=box))
    several = dict(_counts(_coco_report(root)))
    assert several[kind] == ('warning' if kind == 'protruding_boxes' else 'error', 1)

    def many(content: dict) -> None:
        rows = content['annotations']
        content['annotations'] = rows + [dict(rows[1], id=1000 + k) for k in range(99)]

    _edit(root, many)
    assert _counts(_coco_report(root))[kind] == ('warning', 1)


def test_classes_that_never_occur(root: Path) -> None:
    def drop(content: dict) -> None:
        content['annotations'] = [ann for ann in content['annotations'] if ann['category_id'] not in (2, 3)]

    _edit(root, drop)
    assert _counts(_coco_report(root))['absent_classes'] == ('warning', 2)
    # Only where all label maps were read is anything known.
    for path in _seg_folders(root)[1].iterdir():
        with Image.open(path) as image:
            labels = np.minimum(np.asarray(image), 4)
        Image.fromarray(labels).save(path)
    level, count = _counts(_seg_report(root))['absent_classes']
    assert (level, count >= 5) == ('warning', True)
    assert 'absent_classes' not in _counts(_seg_report(root, sample=2))


def test_masks_are_wanted_where_they_are_trained(root: Path) -> None:
    _edit(root, lambda content: content['annotations'][0].pop('segmentation'))
    assert 'no_mask' not in _counts(_coco_report(root))
    assert _counts(_coco_report(root, use=Use(masks=True)))['no_mask'] == ('error', 1)


def test_unusual_images_are_warnings(root: Path) -> None:
    folder = root / 'coco/train2017'
    with Image.open(folder / '000000000001.png') as image:
        size = image.size
    exif = Image.Exif()
    exif[274] = 3
    Image.new('RGB', size).save(folder / '000000000001.png', 'JPEG', exif=exif)
    with Image.open(folder / '000000000002.png') as image:
        image.convert('P').save(folder / '000000000002.png')
    with Image.open(folder / '000000000003.png') as image:
        Image.fromarray(np.zeros(image.size[::-1], np.uint16)).save(folder / '000000000003.png')
    assert _counts(_coco_report(root)) == {
        'exif_rotation': ('warning', 1),
        'palette': ('warning', 1),
        'sixteen_bit': ('warning', 1),
    }


def test_masks_drawn_in_255(root: Path) -> None:
    for path in _seg_folders(root)[1].iterdir():
        with Image.open(path) as image:
            labels = np.where(np.asarray(image) > 1, 255, 0).astype(np.uint8)
        Image.fromarray(labels).save(path)
    report = _seg_report(root, num_classes=2, classes=('ground', 'thing'), reduce_zero_label=False)
    assert _counts(report)['drawn_in_255'] == ('error', 6)
    assert 'write 1 for the foreground' in report.findings['drawn_in_255'].message


def test_zero_that_seems_to_be_a_class(root: Path) -> None:
    for path in _seg_folders(root)[1].iterdir():
        with Image.open(path) as image:
            labels = np.array(image) * 0
        labels[:3] = np.arange(3)[:, None]
        Image.fromarray(labels).save(path)
    report = _seg_report(root, num_classes=3, classes=('a', 'b', 'c'))
    assert _counts(report)['reduce_zero_label'] == ('warning', 1)
    assert 'set reduce_zero_label=False' in report.findings['reduce_zero_label'].message


def test_label_maps_alone_and_lists_of_names(root: Path, tmp_path: Path) -> None:
    images, _ = _seg_folders(root)
    # To the loader as good as gone.
    (images / '000000000002.png').rename(images / '000000000002.PNG')
    report = _seg_report(root)
    assert _counts(report) == {'missing_images': ('warning', 1)}
    assert "not used, first '000000000002.png'; add '000000000002.png'" in report.findings['missing_images'].message
    names = tmp_path / 'train.txt'
    names.write_text('000000000001\n000000000003\n000000000009\n')
    report = _seg_report(root, ann_file=str(names))
    assert (report.total, report.checked) == (3, 2)
    assert _counts(report)['missing'] == ('error', 1)
    names.write_text('')
    assert 'names nothing' in _seg_report(root, ann_file=str(names)).errors()[0].message

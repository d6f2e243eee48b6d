"""What label maps are told to be by their values, colours, and the names of files and folders."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmseq.datasets.own.colours import CITYSCAPES, read_table
from mmseq.datasets.own.importing import import_data
from mmseq.datasets.own.pairs import find_pairs
from mmseq.datasets.own.source import Notes
from mmseq.datasets.own.tree import Tree
from mmseq.errors import InputError
from tests.datasets.own.reading import SIZE, imported, maps_of, picture, write

Values = np.ndarray | list


def grid(*values: object) -> np.ndarray:
    """A map of vertical stripes, one for each value."""
    places = np.arange(SIZE[1]) * len(values) // SIZE[1]
    return np.array(values)[np.broadcast_to(places, SIZE)]


def save(path: Path, values: np.ndarray, **options: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path, **options)


def source(tmp_path: Path, *maps: np.ndarray, suffix: str = '.png', kind: type = np.uint8, **options: object) -> Path:
    """Images in images, and these maps in masks."""
    for k, values in enumerate(maps):
        picture(tmp_path / 'source' / 'images' / f'{k}.jpg', k)
        save(tmp_path / 'source' / 'masks' / f'{k}{suffix}', values.astype(kind), **options)
    return tmp_path / 'source'


def stripes(values: np.ndarray) -> list[int]:
    """The values of the stripes of a map, without repetitions."""
    row = values[0].tolist()
    return [value for k, value in enumerate(row) if k == 0 or value != row[k - 1]]


@pytest.mark.parametrize(
    'values, kind, classes, expected, words',
    [
        ([0, 255], np.uint8, 2, [0, 1], 'black and white (0 and 255)'),
        ([0, 1], np.uint8, 2, [0, 1], 'black and white (0 and 1)'),
        ([0, 65535], np.uint16, 2, [0, 1], 'black and white (0 and 65535)'),
        ([0, 1, 5], np.uint8, 6, [0, 1, 5], 'indices 0 to 5'),
        ([0, 1, 2, 255], np.uint8, 3, [0, 1, 2, 255], 'indices 0 to 2'),
        ([1, 2, 3, 255], np.uint8, 3, [0, 1, 2, 255], 'label maps count classes from 1, which becomes 0; maps: 2'),
        ([0, 1, 2, 65535], np.uint16, 3, [0, 1, 2, 255], 'indices 0 to 2 of 16 bits'),
        ([0, 128, 255], np.uint8, 3, [0, 1, 2], 'grey levels'),
        ([0, 7, 1000, 20000], np.uint16, 4, [0, 1, 2, 3], 'values up to 20000, one class each'),
    ],
)
def test_values(values: list, kind: type, classes: int, expected: list, words: str, tmp_path: Path) -> None:
    card, _, told = imported(source(tmp_path, grid(*values), grid(*values), kind=kind))
    assert len(card.classes) == classes
    assert stripes(maps_of(card)['0']) == expected
    assert words in told
    if 'count classes from 1' not in words:
        assert card.classes[0] == 'background'


def test_names_of_the_user_or_of_a_list(tmp_path: Path) -> None:
    folder = source(tmp_path, grid(0, 1, 2), grid(0, 1, 1))
    assert imported(folder)[0].classes == ('background', 'class 1', 'class 2')
    assert imported(folder, classes=['cat', 'dog'])[0].classes == ('background', 'cat', 'dog')
    assert imported(folder, classes=['sky', 'cat', 'dog'])[0].classes == ('sky', 'cat', 'dog')
    write(folder / 'classes.txt', 'sea\ncat\ndog\nnever\n')
    assert imported(folder)[0].classes == ('sea', 'cat', 'dog', 'never')
    with pytest.raises(InputError, match=r'1 names for label maps of 3 classes \(background, class 1, class 2\)'):
        imported(folder, classes=['cat'])


def test_values_to_ignore_are_no_class(tmp_path: Path) -> None:
    # CamVid's files: no background, and a void above the classes.
    folder = source(tmp_path, grid(0, 1, 2), grid(0, 1, 2))
    card, _, told = imported(folder, classes=['sky', 'road'], ignore=[2])
    assert card.classes == ('sky', 'road')
    assert stripes(maps_of(card)['0']) == [0, 1, 255]
    assert 'pixels of 2, which are ignored: ' in told
    assert imported(folder, ignore=[0])[0].classes == ('class 1', 'class 2')
    for values, expected in [([7], r'--ignore 7: no label map holds it; they hold 0, 1, 2'), ([0, 1, 2], 'leaves no')]:
        with pytest.raises(InputError, match=expected):
            imported(folder, ignore=values)
    save(folder / 'masks' / '0.png', np.stack([grid(0, 200, 9)] * 2 + [grid(3, 3, 3)], 2).astype(np.uint8))
    with pytest.raises(InputError, match='--colours FILE ignores those'):
        imported(folder, ignore=[0])


def test_names_with_their_values_as_services_write_them(tmp_path: Path) -> None:
    # The word mask in the name of the whole is no sign of label maps.
    folder = tmp_path / 'yard.v1i.png-mask-semantic'
    for k, part in enumerate(('train', 'valid')):
        picture(folder / part / f'{k}_jpg.rf.0a.jpg', k)
        save(folder / part / f'{k}_jpg.rf.0a_mask.png', grid(0, 1, 2).astype(np.uint8))
        write(folder / part / '_classes.csv', 'Pixel Value, Class\n0, background\n1, cat\n2, dog\n3, fox\n')
    assert imported(folder)[0].classes == ('background', 'cat', 'dog', 'fox')
    write(folder / 'train' / '_classes.csv', 'filename, cat\n0.jpg, 1\n')
    write(folder / 'valid' / '_classes.csv', 'Pixel Value, Class\n0, background\n7, cat\n')
    assert imported(folder)[0].classes == ('background', 'class 1', 'class 2')


def test_palettes_give_indices_and_colours(tmp_path: Path) -> None:
    folder = source(tmp_path)
    for k in range(2):
        picture(folder / 'images' / f'{k}.jpg', k)
        image = Image.fromarray(grid(0, 1, 2).astype(np.uint8), 'P')
        image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
        (folder / 'masks').mkdir(exist_ok=True)
        image.save(folder / 'masks' / f'{k}.png')
    card, *_ = imported(folder)
    assert card.palette == ((0, 0, 0), (255, 0, 0), (0, 255, 0))
    assert stripes(maps_of(card)['1']) == [0, 1, 2]
    # A tool that gives each file a palette of its own means the colours.
    image.putpalette([0, 0, 0, 0, 255, 0, 255, 0, 0])
    image.save(folder / 'masks' / '1.png')
    card, *_ = imported(folder)
    assert stripes(maps_of(card)['0']) == [0, card.classes.index('#ff0000'), card.classes.index('#00ff00')]
    assert stripes(maps_of(card)['1']) == [0, card.classes.index('#00ff00'), card.classes.index('#ff0000')]


RED, GREEN, BLACK = [255, 0, 0], [0, 255, 0], [0, 0, 0]


def test_colours_are_listed_with_counts(tmp_path: Path) -> None:
    folder = source(tmp_path, grid(BLACK, RED, RED, GREEN), grid(BLACK, BLACK))
    card, _, told = imported(folder)
    assert card.classes == ('background', '#ff0000', '#00ff00')
    assert card.palette == ((0, 0, 0), (255, 0, 0), (0, 255, 0))
    assert stripes(maps_of(card)['0']) == [0, 1, 2]
    assert "colour (255, 0, 0) is class '#ff0000'; pixels: 1200" in told


@pytest.mark.parametrize(
    'text',
    [
        '0 0 0 sky\n255 0 0 cat\n0 255 0 void\n',
        'name,r,g,b\nsky,0,0,0\ncat, 255, 0, 0\nvoid,0,255,0\n',
        '# label:color_rgb:parts:actions\nsky:0,0,0::\ncat:255,0,0::\nunlabeled:0,255,0::\n',
        '#000000 sky\n#ff0000 cat\nignore #00ff00\n',
        '0 0 0\tsky\n255 0 0\tcat\n0 255 0\tVoid\n',
    ],
)
def test_tables_of_colours(text: str, tmp_path: Path) -> None:
    folder = source(tmp_path, grid(BLACK, RED, GREEN), grid(BLACK, [1, 2, 3], RED))
    table = write(tmp_path / 'mine.txt', text)
    card, _, told = imported(folder, colours=table)
    assert card.classes == ('sky', 'cat')
    assert stripes(maps_of(card)['0']) == [0, 1, 255]
    assert stripes(maps_of(card)['1']) == [0, 255, 1]
    assert 'pixels whose colour is not in mine.txt, ignored: 800, first (1, 2, 3)' in told
    # By the names that tools give them they are found.
    table.rename(folder / 'label_colors.txt')
    assert imported(folder)[0].classes == ('sky', 'cat')


@pytest.mark.parametrize(
    'text, expected',
    [
        ('255 0 cat\n', "'255 0 cat' is no colour and name"),
        ('255 0 0 cat\n255 0 0 dog\n', r'colour \(255, 0, 0\) occurs twice'),
        ('0 0 0 void\n', 'names no class'),
        ('9 9 9 cat\n', '100% of the pixels have colours that are not in mine.txt'),
    ],
)
def test_tables_that_do_not_fit(text: str, expected: str, tmp_path: Path) -> None:
    folder = source(tmp_path, grid(BLACK, RED), grid(BLACK, RED))
    with pytest.raises(InputError, match=expected):
        imported(folder, colours=write(tmp_path / 'mine.txt', text))


def test_what_no_training_could_use_is_not_written(tmp_path: Path) -> None:
    folder = tmp_path / 'source'
    for k, (part, values) in enumerate((('train', (BLACK, RED)), ('val', (BLACK, GREEN)))):
        picture(folder / part / 'images' / f'{k}.jpg', k)
        save(folder / part / 'masks' / f'{k}.png', grid(*values).astype(np.uint8))
    table = write(tmp_path / 'mine.txt', '0 0 0 sky\n255 0 0 cat\n0 255 0 void\n')
    with pytest.raises(InputError, match=r'/out/val/labels: the 1 label maps looked at hold 0 and 255 only'):
        imported(folder, colours=table)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['mine.txt', 'source']


def test_colours_of_lossy_files_are_the_nearest(tmp_path: Path) -> None:
    folder = source(tmp_path, grid(BLACK, RED), grid(RED, BLACK), suffix='.jpg', quality=90)
    card, *_ = imported(folder, colours=write(tmp_path / 'mine.txt', '0 0 0 sky\n255 0 0 cat\n'))
    values = maps_of(card)['0']
    assert (values[:, :24] == 0).all()
    assert (values[:, 36:] == 1).all()
    card, *_ = imported(folder)
    assert card.classes[:2] == ('background', '#fe0000')
    assert np.array_equal(maps_of(card)['0'][:, 36:], values[:, 36:])


def test_photographs_are_no_label_maps(tmp_path: Path) -> None:
    folder = source(tmp_path)
    for k in range(2):
        picture(folder / 'images' / f'{k}.jpg', k)
        picture(folder / 'masks' / f'{k}.png', k)
    with pytest.raises(InputError, match='colours, most often .* say which are classes by --colours FILE'):
        imported(folder)


def test_smoothed_black_and_white(tmp_path: Path) -> None:
    smooth = np.clip((np.mgrid[:40, :60][1] - 30) * 12 + 128, 0, 255)
    far = np.clip((np.mgrid[:40, :60][1] - 31) * 9 + 128, 0, 255)
    wide = [np.concatenate([one] * 1, 1).repeat(1, 0) for one in (smooth, far)]
    maps = [np.concatenate((np.zeros((40, 240)), one, np.full((40, 240), 255)), 1) for one in wide]
    folder = source(tmp_path, *maps)
    for k in range(2):
        picture(folder / 'images' / f'{k}.jpg', k, (40, 540))
    card, _, told = imported(folder)
    assert card.classes == ('background', 'foreground')
    assert stripes(maps_of(card)['0']) == [0, 1]
    assert 'pixels of smoothed edges, which are foreground from grey 128 on' in told


def test_cityscapes_files_and_colours(tmp_path: Path) -> None:
    root = tmp_path / 'source'
    for part, town in (('train', 'aachen'), ('val', 'ulm')):
        stem = f'{town}_000000_000019'
        picture(root / 'leftImg8bit' / part / town / f'{stem}_leftImg8bit.png', len(town))
        labels = root / 'gtFine' / part / town
        save(labels / f'{stem}_gtFine_labelIds.png', grid(0, 7, 26, 33).astype(np.uint8))
        save(labels / f'{stem}_gtFine_instanceIds.png', grid(0, 7, 26001).astype(np.uint16))
        save(labels / f'{stem}_gtFine_color.png', grid([0, 0, 0], [128, 64, 128], [0, 0, 142]).astype(np.uint8))
    card, *_ = imported(root)
    assert card.classes == tuple(name for *_, name in CITYSCAPES)
    assert stripes(maps_of(card)['aachen_000000_000019_leftImg8bit']) == [255, 0, 13, 18]
    for path in root.rglob('*Ids.png'):
        path.unlink()
    card, _, told = imported(root)
    assert stripes(maps_of(card)['ulm_000000_000019_leftImg8bit']) == [255, 0, 13]
    assert "colours, by Cityscapes' colours" in told


def test_ade_counts_from_1_and_ignores_0(tmp_path: Path) -> None:
    root = tmp_path / 'ADEChallengeData2016'
    for k, part in enumerate(('training', 'validation')):
        picture(root / 'images' / part / f'{k}.jpg', k)
        save(root / 'annotations' / part / f'{k}.png', grid(0, 1, 150).astype(np.uint8))
    card, *_ = imported(root)
    assert (len(card.classes), card.classes[0]) == (150, 'wall')
    assert stripes(maps_of(card)['0']) == [255, 0, 149]
    for path in root.glob('annotations/*/*.png'):
        save(path, grid(0, 1, 149).astype(np.uint8))
    for classes in ((), card.classes):
        again, *_ = imported(root, classes=classes)
        assert stripes(maps_of(again)['0']) == [255, 0, 148]


@pytest.mark.parametrize(('names', 'expected'), [('ab', [255, 0, 1]), ('0ab', [0, 1, 2])])
def test_other_classes_in_the_layout_of_ade(tmp_path: Path, names: str, expected: list[int]) -> None:
    root = tmp_path / 'ADEChallengeData2016'
    for k, part in enumerate(('training', 'validation')):
        picture(root / 'images' / part / f'{k}.jpg', k)
        save(root / 'annotations' / part / f'{k}.png', grid(0, 1, 2).astype(np.uint8))
    card, *_ = imported(root, classes=tuple(names))
    assert card.classes == tuple(names)
    assert stripes(maps_of(card)['0']) == expected


@pytest.mark.parametrize(
    'image, label',
    [
        ('images/a.jpg', 'masks/a.png'),
        ('images/train/a.jpg', 'labels/train/a.png'),
        ('train/images/a.jpg', 'train/masks/a.png'),
        ('train/a.png', 'trainannot/a.png'),
        ('train/a.jpg', 'train_masks/a_mask.gif'),
        ('701_StillsRaw_full/a.png', 'LabeledApproved_full/a_L.png'),
        ('images_prepped_train/a.png', 'annotations_prepped_train/a.png'),
        ('JPEGImages/a.jpg', 'SegmentationClass/a.png'),
        ('leftImg8bit/train/x/a_leftImg8bit.png', 'gtFine/train/x/a_gtFine_labelTrainIds.png'),
        ('a.jpg', 'a.png'),
        ('a.png', 'a_mask.png'),
        ('a_sat.jpg', 'a_mask.png'),
        ('Image/a.jpg', 'Ground Truth/a_segmentation.png'),
        ('semantic_segmentation/JPEGImages/a.jpg', 'semantic_segmentation/SegmentationClass/a.png'),
    ],
)
def test_pairs_are_found_by_names(image: str, label: str, tmp_path: Path) -> None:
    for name in ('a', 'b'):
        for path in (image, label):
            place = tmp_path / 'set' / path
            picture(place.with_name(place.name.replace('a', name, 1)))
    pairs = find_pairs(Tree([tmp_path / 'set']), Notes())
    found = [tuple(path.relative_to(tmp_path / 'set').as_posix() for path in pair) for pair in pairs]
    assert (image, label) in found
    assert len(found) == 2


def test_drawings_of_label_maps_are_none(tmp_path: Path) -> None:
    folder = source(tmp_path, grid(0, 1), grid(0, 1))
    (folder / 'images').rename(folder / 'JPEGImages')
    (folder / 'masks').rename(folder / 'SegmentationClass')
    for k in range(2):
        picture(folder / 'SegmentationClassVisualization' / f'{k}.jpg', k)
        picture(folder / 'images' / 'overlay' / f'{k}.jpg', k)
        picture(folder / 'SegmentationObject' / f'{k}.png', k)
        picture(folder / 'data_annotated' / f'{k}.jpg', k)
    notes = Notes()
    pairs = find_pairs(Tree([folder]), notes)
    assert notes.lines() == ['images without a label map, left out: 2, first 0.jpg']
    assert [(image.parent.name, label.parent.name) for image, label in pairs] == [
        ('JPEGImages', 'SegmentationClass')
    ] * 2


def test_two_folders_of_any_name(tmp_path: Path) -> None:
    for seed, name in enumerate('ab'):
        picture(tmp_path / 'photos of may' / f'{name}.jpg', seed)
        save(tmp_path / 'what ann drew' / f'{name}.png', grid(0, 1).astype(np.uint8))
    folders = [tmp_path / 'photos of may', tmp_path / 'what ann drew']
    assert import_data(folders, tmp_path / 'out').task == 'semantic'


def test_what_has_no_counterpart_is_counted(tmp_path: Path) -> None:
    folder = source(tmp_path, grid(0, 1), grid(0, 1))
    picture(folder / 'images' / 'bare.jpg')
    save(folder / 'masks' / 'alone.png', grid(0, 1).astype(np.uint8))
    save(folder / 'masks' / 'small.png', np.zeros((4, 6), np.uint8))
    picture(folder / 'images' / 'small.jpg', 9)
    card, _, told = imported(folder)
    assert set(maps_of(card)) == {'0', '1'}
    assert 'images without a label map, left out: 1, first bare.jpg' in told
    assert 'label maps without an image, left out: 1, first alone.png' in told
    assert 'label maps of another size than their image, left out: 1, first small.png: 6 x 4 for 60 x 40' in told


@pytest.mark.parametrize(
    'damage, expected',
    [
        (lambda folder: write(folder / 'masks' / '0.png', 'no picture'), r'0\.png: cannot be read as a label map'),
        (lambda folder: write(folder / 'masks' / '0.png', 'version https://git-lfs.github'), 'run git lfs pull'),
        (lambda folder: save(folder / 'masks' / '0.tif', grid(0.5, 1.5)), 'has 2 label maps'),
        (lambda folder: [save(p, grid(3).astype(np.uint8)) for p in (folder / 'masks').iterdir()], 'nothing but 3'),
    ],
)
def test_bad_maps_are_one_line(damage: Callable, expected: str, tmp_path: Path) -> None:
    folder = source(tmp_path, grid(0, 1), grid(0, 1))
    damage(folder)
    with pytest.raises(InputError, match=expected) as raised:
        imported(folder)
    assert '\n' not in str(raised.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['source']


def test_too_many_values_are_numbers_of_objects(tmp_path: Path) -> None:
    many = np.arange(2400).reshape(40, 60)
    with pytest.raises(InputError, match='2400 different values up to 2399.*numbers of objects instead of classes'):
        imported(source(tmp_path, many, many, kind=np.uint16))


def test_label_maps_have_no_objects(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='tell classes but no objects, nothing for instances'):
        imported(source(tmp_path, grid(0, 1), grid(0, 1)), task='instances')


def test_a_table_reads_hexadecimal_names_in_any_order(tmp_path: Path) -> None:
    table = read_table(write(tmp_path / 'table.txt', 'traffic light 250 170 30\n0,0,0,sky\n'))
    assert table.names == ('traffic light', 'sky')

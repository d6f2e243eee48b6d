"""Tiny data sets in the layouts of public ones: what configs/_base_/datasets reads below MMSEQ_DATA."""

import json
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

WIDTH, HEIGHT = 128, 96
# Left, top, width and height of the two objects of every image.
BOXES = ((8, 8, 48, 56), (64, 32, 56, 48))
HOST = 'http://images.cocodataset.org/'


def picture(path):
    """An image of noise with the objects in two colours."""
    pixels = np.random.default_rng(len(str(path))).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    for (x, y, w, h), value in zip(BOXES, (40, 200)):
        pixels[y : y + h, x : x + w] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), pixels)


def label_map(path, values, palette=False):
    """A background, the two objects and a border that is ignored, by their values."""
    labels = np.full((HEIGHT, WIDTH), values[0], np.uint8)
    for (x, y, w, h), value in zip(BOXES, values[1:]):
        labels[y : y + h, x : x + w] = value
    labels[:2] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(labels)
    if palette:
        image.putpalette(list(range(256)) * 3)
    image.save(path)


def names(path, stems):
    """A list of names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('\n'.join(stems) + '\n')


def objects(images, categories):
    """Two objects for each image, as COCO and LVIS have them."""
    rows = []
    for image in images:
        for (x, y, w, h), category in zip(BOXES, categories):
            polygon = [x, y, x + w, y, x + w, y + h, x, y + h]
            rows.append(
                dict(
                    id=len(rows) + 1,
                    image_id=image['id'],
                    category_id=category,
                    bbox=[x, y, w, h],
                    area=w * h,
                    iscrowd=0,
                    segmentation=[polygon],
                )
            )
    return rows


def write_json(path, images, categories, annotations):
    """A file of COCO's kind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(dict(images=images, categories=categories, annotations=annotations)))


def coco_images(root, stems, prefix=''):
    """Images with the rows of their file."""
    for stem in stems:
        picture(root / f'{stem}')
    return [dict(id=i + 1, file_name=prefix + stem, height=HEIGHT, width=WIDTH) for i, stem in enumerate(stems)]


def lvis(data):
    """lvis_v1: no file names but addresses, one image of COCO's training part in the validation."""
    from mmdet.datasets import LVISV1Dataset

    categories = [
        dict(id=i + 1, name=name, frequency='rcf'[i % 3], synset=f'{name}.n.01', synonyms=[name])
        for i, name in enumerate(LVISV1Dataset.METAINFO['classes'])
    ]
    parts = dict(train=('train2017/000000000001.jpg', 'train2017/000000000002.jpg'))
    parts['val'] = ('val2017/000000000003.jpg', 'train2017/000000000004.jpg')
    for part, stems in parts.items():
        images = coco_images(data / 'lvis_v1', stems)
        for row in images:
            row.update(coco_url=HOST + row.pop('file_name'), neg_category_ids=[5], not_exhaustive_category_ids=[])
        rows = objects(images, (3, 1000))
        for row in rows:
            del row['iscrowd']
        write_json(data / f'lvis_v1/annotations/lvis_v1_{part}.json', images, categories, rows)


def coco_rem(data):
    """coco_rem beside coco."""
    from mmdet.datasets import CocoDataset

    categories = [dict(id=i + 1, name=name) for i, name in enumerate(CocoDataset.METAINFO['classes'])]
    for part in ('train', 'val'):
        images = coco_images(data / f'coco/{part}2017', ['000000000001.jpg', '000000000002.jpg'])
        write_json(data / f'coco_rem/instances_{part}rem.json', images, categories, objects(images, (1, 80)))


def cityscapes(data):
    """Label maps by cities, and the files that mmdetection's converter makes of them."""
    from mmdet.datasets import CityscapesDataset

    root = data / 'cityscapes'
    categories = [dict(id=i + 24, name=name) for i, name in enumerate(CityscapesDataset.METAINFO['classes'])]
    for part, city in (('train', 'aachen'), ('val', 'lindau')):
        stems = [f'{city}_00000{i}_000019' for i in range(2)]
        files = [f'{stem}_leftImg8bit.png' for stem in stems]
        images = coco_images(root / 'leftImg8bit' / part / city, files, f'{city}/')
        for stem in stems:
            label_map(root / f'gtFine/{part}/{city}/{stem}_gtFine_labelTrainIds.png', (0, 11, 18))
            label_map(root / f'gtFine/{part}/{city}/{stem}_gtFine_labelIds.png', (7, 24, 33))
        path = root / f'annotations/instancesonly_filtered_gtFine_{part}.json'
        write_json(path, images, categories, objects(images, (24, 31)))


def pascal_context(data):
    """VOC2010 with the maps that mmsegmentation's converter writes: 0 is the background."""
    root = data / 'VOCdevkit/VOC2010'
    for part, stems in dict(train=('2008_000002', '2008_000003'), val=('2008_000004', '2008_000007')).items():
        names(root / f'ImageSets/SegmentationContext/{part}.txt', stems)
        for stem in stems:
            picture(root / f'JPEGImages/{stem}.jpg')
            label_map(root / f'SegmentationClassContext/{stem}.png', (0, 1, 59))


def voc12(data):
    """VOC2012 with SBD's maps; its own are palette images."""
    root = data / 'VOCdevkit/VOC2012'
    for part, stems in dict(train=['2007_000032', '2007_000039'], val=['2007_000033'], aug=['2008_000008']).items():
        names(root / f'ImageSets/Segmentation/{part}.txt', stems)
        folder = 'SegmentationClassAug' if part == 'aug' else 'SegmentationClass'
        for stem in stems:
            picture(root / f'JPEGImages/{stem}.jpg')
            label_map(root / f'{folder}/{stem}.png', (0, 1, 20), palette=part != 'aug')


def voc0712(data):
    """VOC2007 and VOC2012 with XML files, of which the second object is difficult in one."""
    for year, lists in {
        'VOC2007': dict(trainval=['000005', '000007'], test=['000001', '000002']),
        'VOC2012': dict(trainval=['2008_000008']),
    }.items():
        root = data / 'VOCdevkit' / year
        for part, stems in lists.items():
            names(root / f'ImageSets/Main/{part}.txt', stems)
            for stem in stems:
                picture(root / f'JPEGImages/{stem}.jpg')
                xml(root / f'Annotations/{stem}.xml', ('dog', 'person'), difficult=int(stem == '000002'))


def xml(path, classes, difficult=0):
    """Two objects in VOC's form, whose pixels count from 1."""
    texts = []
    for name, (x, y, w, h), hard in zip(classes, BOXES, (0, difficult)):
        corners = dict(xmin=x + 1, ymin=y + 1, xmax=x + w, ymax=y + h)
        box = ''.join(f'<{key}>{value}</{key}>' for key, value in corners.items())
        texts.append(f'<object><name>{name}</name><difficult>{hard}</difficult><bndbox>{box}</bndbox></object>')
    size = f'<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'<annotation><filename>{path.stem}.jpg</filename>{size}{"".join(texts)}</annotation>')


def write_all(data: Path) -> None:
    """Every layout below one folder."""
    for write in (lvis, coco_rem, cityscapes, pascal_context, voc12, voc0712):
        write(data)

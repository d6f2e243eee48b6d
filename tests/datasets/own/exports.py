"""Data sets in every format, as labelling tools and services write them, from one truth."""

import base64
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, ElementTree, SubElement

import cv2
import numpy as np
import yaml
from PIL import Image
from pycocotools import mask as coco_mask

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Thing:
    """An object: its class, box (left, top, right, bottom) and polygon (N, 2)."""

    name: str
    box: Box
    points: np.ndarray


@dataclass(frozen=True)
class Truth:
    """An image and what is on it."""

    image: Path
    width: int
    height: int
    things: list[Thing]

    def mask(self, thing: Thing) -> np.ndarray:
        rows = coco_mask.frPyObjects([thing.points.ravel().tolist()], self.height, self.width)
        return coco_mask.decode(rows)[:, :, 0].astype(bool)


def classes_of(truths: Sequence[Truth]) -> list[str]:
    return sorted({thing.name for truth in truths for thing in truth.things})


def made(folder: Path, count: int = 6) -> list[Truth]:
    """Pictures with coloured quadrilaterals of three classes, one without any."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    truths = []
    for number in range(count):
        height, width = int(random.integers(60, 90)), int(random.integers(90, 130))
        picture = random.integers(0, 60, (height, width, 3), np.uint8)
        things = []
        for size, name in ((0.6, 'ant'), (0.8, 'bee'), (1, 'cow'))[: number % 4]:
            corner = random.uniform(2, width - 42), random.uniform(2, height - 42)
            points = (corner + size * np.array([[0, 9], [20, 0], [38, 22], [9, 38]])).round(1)
            cv2.fillPoly(picture, [points.round().astype(int)], random.integers(90, 255, 3).tolist())
            things.append(Thing(name, (*points.min(0).tolist(), *points.max(0).tolist()), points))
        path = folder / f'photo {number}.png'
        Image.fromarray(picture).save(path)
        truths.append(Truth(path, width, height, things))
    return truths


def real(data: Path, count: int = 8) -> list[Truth]:
    """COCO's images with their objects of one polygon, which every format can hold."""
    content = json.loads((data / 'coco' / 'annotations' / 'instances_val2017.json').read_text())
    names = {row['id']: row['name'] for row in content['categories']}
    truths = []
    for image in content['images']:
        rows = [row for row in content['annotations'] if row['image_id'] == image['id'] and not row['iscrowd']]
        things = [_thing(row, names) for row in rows if len(row['segmentation']) == 1]
        if len(things) > 2:
            path = data / 'coco' / 'val2017' / image['file_name']
            truths.append(Truth(path, image['width'], image['height'], things))
    return truths[:count]


def _thing(row: dict, names: dict[int, str]) -> Thing:
    left, top, width, height = row['bbox']
    points = np.array(row['segmentation'][0]).reshape(-1, 2)
    return Thing(names[row['category_id']], (left, top, left + width, top + height), points)


def halves(truths: Sequence[Truth]) -> dict[str, Sequence[Truth]]:
    """The first two thirds to train, the others to validate."""
    return {'train': truths[: len(truths) * 2 // 3], 'valid': truths[len(truths) * 2 // 3 :]}


def put(truth: Truth, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(truth.image, folder))


def coco_content(truths: Sequence[Truth], names: Sequence[str], project: str = 'yard') -> dict:
    """As Roboflow writes it: all ids from 0, category 0 names the project."""
    categories = [dict(id=0, name=project, supercategory='none')]
    categories += [dict(id=k, name=name, supercategory=project) for k, name in enumerate(names, 1)]
    images, rows = [], []
    for number, truth in enumerate(truths):
        images.append(dict(id=number, file_name=truth.image.name, height=truth.height, width=truth.width, license=1))
        for thing in truth.things:
            left, top, right, bottom = thing.box
            described = dict(bbox=[left, top, right - left, bottom - top], area=(right - left) * (bottom - top))
            segmentation = [thing.points.ravel().tolist()]
            known = dict(id=len(rows), image_id=number, category_id=names.index(thing.name) + 1, iscrowd=0)
            rows.append(known | described | dict(segmentation=segmentation))
    return dict(info={}, licenses=[], categories=categories, images=images, annotations=rows)


def coco(folder: Path, truths: Sequence[Truth]) -> None:
    for part, chosen in halves(truths).items():
        for truth in chosen:
            put(truth, folder / part)
        text = json.dumps(coco_content(chosen, classes_of(truths)))
        (folder / part / '_annotations.coco.json').write_text(text)


def coco_boxes(folder: Path, truths: Sequence[Truth]) -> None:
    coco(folder, truths)
    for path in folder.rglob('*.json'):
        content = json.loads(path.read_text())
        for row in content['annotations']:
            row['segmentation'] = []
        path.write_text(json.dumps(content))


def _yolo(folder: Path, truths: Sequence[Truth], row: Callable[[Thing, np.ndarray], np.ndarray]) -> None:
    names = classes_of(truths)
    for part, chosen in halves(truths).items():
        for truth in chosen:
            image = put(truth, folder / part / 'images')
            labels = folder / part / 'labels' / f'{image.stem}.txt'
            labels.parent.mkdir(exist_ok=True)
            size = np.array((truth.width, truth.height))
            rows = [
                f'{names.index(thing.name)} ' + ' '.join(f'{value:.6f}' for value in row(thing, size).ravel())
                for thing in truth.things
            ]
            labels.write_text('\n'.join(rows))
    config = dict(train='../train/images', val='../valid/images', test='../test/images', nc=len(names), names=names)
    (folder / 'data.yaml').write_text(yaml.safe_dump(config))


def yolo(folder: Path, truths: Sequence[Truth]) -> None:
    def row(thing: Thing, size: np.ndarray) -> np.ndarray:
        corners = np.array(thing.box).reshape(2, 2) / size
        return np.concatenate((corners.mean(0), corners[1] - corners[0]))

    _yolo(folder, truths, row)


def yolo_masks(folder: Path, truths: Sequence[Truth]) -> None:
    # Five points and more: four each would be oriented boxes.
    _yolo(folder, truths, lambda thing, size: np.concatenate((thing.points, thing.points[:1])) / size)


def voc(folder: Path, truths: Sequence[Truth]) -> None:
    (folder / 'Annotations').mkdir(parents=True)
    for truth in truths:
        image = put(truth, folder / 'JPEGImages')
        root = Element('annotation')
        SubElement(root, 'filename').text = image.name
        size = SubElement(root, 'size')
        for key, value in (('width', truth.width), ('height', truth.height), ('depth', 3)):
            SubElement(size, key).text = str(value)
        for thing in truth.things:
            element = SubElement(root, 'object')
            SubElement(element, 'name').text = thing.name
            SubElement(element, 'difficult').text = '0'
            box = SubElement(element, 'bndbox')
            left, top, right, bottom = thing.box
            values = (round(left) + 1, round(top) + 1, round(right), round(bottom))
            for key, value in zip(('xmin', 'ymin', 'xmax', 'ymax'), values):
                SubElement(box, key).text = str(value)
        ElementTree(root).write(folder / 'Annotations' / f'{image.stem}.xml')
    lists = folder / 'ImageSets' / 'Main'
    lists.mkdir(parents=True)
    for part, chosen in zip(('train', 'val'), halves(truths).values()):
        (lists / f'{part}.txt').write_text('\n'.join(truth.image.stem for truth in chosen))


def labelme(folder: Path, truths: Sequence[Truth], embedded: bool = False) -> None:
    folder.mkdir(parents=True)
    for truth in truths:
        raw = truth.image.read_bytes()
        if not embedded:
            put(truth, folder)
        shapes = [
            dict(label=thing.name, points=thing.points.tolist(), group_id=None, shape_type='polygon', flags={})
            for thing in truth.things
        ]
        content = dict(version='5.4.1', flags={}, shapes=shapes, imagePath=truth.image.name)
        content['imageData'] = base64.b64encode(raw).decode() if embedded else None
        content |= dict(imageHeight=truth.height, imageWidth=truth.width)
        (folder / f'{truth.image.stem}.json').write_text(json.dumps(content, indent=2))


def labelme_embedded(folder: Path, truths: Sequence[Truth]) -> None:
    labelme(folder, truths, embedded=True)


def cvat(folder: Path, truths: Sequence[Truth]) -> None:
    root = Element('annotations')
    SubElement(root, 'version').text = '1.1'
    labels = SubElement(SubElement(SubElement(root, 'meta'), 'task'), 'labels')
    for name in classes_of(truths):
        SubElement(SubElement(labels, 'label'), 'name').text = name
    for number, truth in enumerate(truths):
        put(truth, folder / 'images')
        size = dict(width=str(truth.width), height=str(truth.height))
        element = SubElement(root, 'image', id=str(number), name=truth.image.name, **size)
        for thing in truth.things:
            points = ';'.join(f'{x:.2f},{y:.2f}' for x, y in thing.points)
            SubElement(element, 'polygon', label=thing.name, occluded='0', points=points, z_order='0')
    ElementTree(root).write(folder / 'annotations.xml')


def label_map(truth: Truth, names: Sequence[str]) -> np.ndarray:
    """Classes from 1 on a background, small things above large ones."""
    values = np.zeros((truth.height, truth.width), np.uint8)
    masks = [(truth.mask(thing), thing) for thing in truth.things]
    for mask, thing in sorted(masks, key=lambda row: -int(row[0].sum())):
        values[mask] = names.index(thing.name) + 1
    return values


def maps(folder: Path, truths: Sequence[Truth], convert: Callable[[np.ndarray], Image.Image]) -> None:
    """Pairs in images and masks; ``convert`` makes the file of the classes."""
    names = classes_of(truths)
    (folder / 'masks').mkdir(parents=True)
    for truth in truths:
        image = put(truth, folder / 'images')
        convert(label_map(truth, names)).save(folder / 'masks' / f'{image.stem}.png')


BOXES = dict(coco_boxes=coco_boxes, yolo=yolo, voc=voc)
INSTANCES = dict(coco=coco, yolo_masks=yolo_masks, labelme=labelme, labelme_embedded=labelme_embedded, cvat=cvat)

"""Annotation files as large as real data sets': the images of a small COCO file over and over, with new ids.

    python -m benchmarks.coco_size data/coco/annotations/instances_val2017.json 5000 build/instances_5000.json

With ``--images`` and ``--links`` the images are there, too, as links. ``--boxes`` leaves masks out, and ``--least`` the
images with fewer objects: ``--boxes --least 8`` gives as many to an image as Objects365 has.
"""

import argparse
import json
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

Row = dict[str, Any]
# In the text of an annotation of the small file, where those of the large one differ.
ID, IMAGE_ID = '"new id"', '"new image id"'


class Source:
    """A small COCO file.

    Args:
        content: of the file.
        boxes: leave masks out.
        least: objects of the images that are taken.
    """

    def __init__(self, content: dict[str, Any], boxes: bool = False, least: int = 0) -> None:
        self.rest = {key: value for key, value in content.items() if key not in ('images', 'annotations')}
        self._of_image: dict[Any, list[Row]] = defaultdict(list)
        for annotation in content['annotations']:
            kept = {key: value for key, value in annotation.items() if not (boxes and key == 'segmentation')}
            self._of_image[annotation['image_id']].append(kept)
        self._images = [image for image in content['images'] if len(self._of_image[image['id']]) >= least]

    def images(self, count: int) -> Iterator[Row]:
        """So many images, with new ids and names; ``original`` is the name in the small file."""
        for number in range(1, count + 1):
            image = self._images[(number - 1) % len(self._images)]
            name = f'{number:012d}{Path(image["file_name"]).suffix}'
            yield image | {'id': number, 'file_name': name, 'original': image['file_name']}

    def annotations_of(self, number: int) -> list[Row]:
        """Those of the image with this id, in the small file."""
        return self._of_image[self._images[(number - 1) % len(self._images)]['id']]

    def enlarged(self, count: int) -> dict[str, Any]:
        """The content of a COCO file with a number of images."""
        images, annotations = list(self.images(count)), []
        for image in images:
            for annotation in self.annotations_of(image['id']):
                annotations.append(annotation | {'image_id': image['id'], 'id': len(annotations) + 1})
        return self.rest | {'images': images, 'annotations': annotations}

    def write(self, count: int, file: TextIO) -> int:
        """Write the same, an image at a time; returns the number of annotations."""
        file.write(json.dumps(self.rest | {'images': list(self.images(count))})[:-1])
        file.write(', "annotations": [')
        texts: dict[int, list[str]] = {}
        total = 0
        for number in range(1, count + 1):
            place = (number - 1) % len(self._images)
            if place not in texts:
                rows = (row | {'image_id': IMAGE_ID[1:-1], 'id': ID[1:-1]} for row in self.annotations_of(number))
                texts[place] = [json.dumps(row).replace(IMAGE_ID, '{image}').replace(ID, '{id}') for row in rows]
            for text in texts[place]:
                total += 1
                separator = ', ' if total > 1 else ''
                file.write(separator + text.replace('{image}', str(number)).replace('{id}', str(total)))
        file.write(']}')
        return total


def link(source: Source, count: int, images: Path, links: Path) -> None:
    """A link of every image under its new name."""
    links.mkdir(parents=True, exist_ok=True)
    for image in source.images(count):
        os.symlink(images.absolute() / image['original'], links / image['file_name'])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('source', type=Path)
    parser.add_argument('count', type=int, help='number of images')
    parser.add_argument('out', type=Path)
    parser.add_argument('--boxes', action='store_true', help='leave masks out')
    parser.add_argument('--least', type=int, default=0, help='objects of the images that are taken')
    parser.add_argument('--images', type=Path, help='folder of the images of the source')
    parser.add_argument('--links', type=Path, help='folder for their links')
    args = parser.parse_args()
    source = Source(json.loads(args.source.read_text()), args.boxes, args.least)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with args.out.open('w') as file:
        objects = source.write(args.count, file)
    if args.links:
        link(source, args.count, args.images, args.links)
    print(f'{args.out}: {args.count} images, {objects} objects')


if __name__ == '__main__':
    main()

"""Annotation files as large as real data sets': the images of a small COCO file over and over, with new ids.

    python -m benchmarks.coco_size data/coco/annotations/instances_val2017.json 5000 build/instances_5000.json

With ``--images`` and ``--links`` the images are there, too, as links.
"""

import argparse
import json
import os
from collections import defaultdict
from pathlib import Path
from typing import Any


def enlarge(source: dict[str, Any], images: int) -> dict[str, Any]:
    """The content of a COCO file with a number of images, from that of a small one."""
    of_image = defaultdict(list)
    for annotation in source['annotations']:
        of_image[annotation['image_id']].append(annotation)
    content = {key: value for key, value in source.items() if key not in ('images', 'annotations')}
    content['images'], content['annotations'] = [], []
    for number in range(1, images + 1):
        original = source['images'][(number - 1) % len(source['images'])]
        name = f'{number:012d}{Path(original["file_name"]).suffix}'
        content['images'].append(original | {'id': number, 'file_name': name, 'original': original['file_name']})
        for annotation in of_image[original['id']]:
            content['annotations'].append(annotation | {'image_id': number, 'id': len(content['annotations']) + 1})
    return content


def link(content: dict[str, Any], images: Path, links: Path) -> None:
    """A link of every image under its new name."""
    links.mkdir(parents=True, exist_ok=True)
    for image in content['images']:
        os.symlink(images.absolute() / image['original'], links / image['file_name'])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('source', type=Path)
    parser.add_argument('count', type=int, help='number of images')
    parser.add_argument('out', type=Path)
    parser.add_argument('--images', type=Path, help='folder of the images of the source')
    parser.add_argument('--links', type=Path, help='folder for their links')
    args = parser.parse_args()
    content = enlarge(json.loads(args.source.read_text()), args.count)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(content))
    if args.links:
        link(content, args.images, args.links)
    print(f'{args.out}: {len(content["images"])} images, {len(content["annotations"])} objects')


if __name__ == '__main__':
    main()

"""The images that a COCO file names: there, whole, and of the size that it says."""

import os
from typing import Any

from mmseq.datasets.checks.coco_annotations import Rows
from mmseq.datasets.checks.findings import Report
from mmseq.datasets.checks.images import DamagedFileError, decode, in_threads
from mmseq.datasets.checks.shared import Progress, folder, unusual
from mmseq.errors import InputError


def check_sides(report: Report, images: Rows) -> None:
    """Heights and widths are possible."""
    wrong = [row for row in images if not (0 < row['height'] < 1e6 and 0 < row['width'] < 1e6)]
    if wrong:
        row = wrong[0]
        report.error(
            'wrong_size',
            f'{report.where}: {len(wrong)} images have no possible size, first {row["file_name"]!r} with '
            f'{row["height"]} x {row["width"]} (height x width); write the size of the file',
            row['file_name'],
            len(wrong),
        )


def check_listed(report: Report, img_dir: str, images: Rows) -> Rows:
    """The images that lie in the folder, which is listed once instead of asked once per image."""
    try:
        folder(img_dir, 'image')
    except InputError as error:
        report.error('missing', str(error), count=len(images))
        return []
    listing: dict[str, set[str]] = {}
    present: Rows = []
    absent: Rows = []
    for row in images:
        inner, name = os.path.split(row['file_name'])
        if inner not in listing:
            path = os.path.join(img_dir, inner)
            listing[inner] = {entry.name for entry in os.scandir(path)} if os.path.isdir(path) else set()
        (present if name in listing[inner] else absent).append(row)
    if absent:
        name = absent[0]['file_name']
        advice = 'write / instead of \\ in file names' if '\\' in name else 'correct data_prefix, or fetch the images'
        report.error(
            'missing',
            f'{img_dir}: {len(absent)} of the {len(images)} images in {report.where} are not there, first {name!r}; '
            f'{advice}',
            name,
            len(absent),
        )
    return present


def check_images(report: Report, img_dir: str, images: Rows, channels: bool, progress: Progress | None) -> None:
    """Images are whole and as large as the file says."""
    report.checked = len(images)

    def look(row: dict[str, Any]) -> Any:
        try:
            return decode(os.path.join(img_dir, row['file_name']), channels=channels)[0]
        except DamagedFileError as error:
            return error

    looks = zip(images, in_threads(look, images))
    for row, header in progress(looks, len(images)) if progress else looks:
        path = os.path.join(img_dir, row['file_name'])
        if isinstance(header, DamagedFileError):
            report.error(header.kind, str(header), path)
            continue
        unusual(report, path, header)
        if (row['height'], row['width']) != (header.height, header.width):
            report.error(
                'wrong_size',
                f'{path}: is {header.height} x {header.width} (height x width), but {report.where} says '
                f'{row["height"]} x {row["width"]}; its boxes belong to another version of the image, use the one they '
                'were drawn on',
                path,
            )

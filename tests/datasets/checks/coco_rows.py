"""A small COCO file in memory: images of 100 x 80 (width x height) with square objects of 20 px."""

from typing import Any

Rows = list[dict[str, Any]]


def images(count: int = 4) -> Rows:
    return [dict(id=k, file_name=f'{k}.png', width=100, height=80) for k in range(1, count + 1)]


def annotations(count: int = 20, **changed: Any) -> Rows:
    """Objects spread over four images, each with what is given instead."""
    rows = []
    for k in range(count):
        left, top = 10 + k, 5 + k
        corners = [left, top, left + 20, top, left + 20, top + 20, left, top + 20]
        row = dict(id=k + 1, image_id=1 + k % 4, category_id=1, bbox=[left, top, 20, 20], area=400, iscrowd=0)
        rows.append(row | dict(segmentation=[corners]) | changed)
    return rows

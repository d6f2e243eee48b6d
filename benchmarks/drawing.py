"""What drawing predictions takes, upstream's visualisers beside ours, in milliseconds: python benchmarks/drawing.py.

Writes benchmarks/results/drawing.json: 20 instances with masks, and 8 classes in stripes, on 1280 x 720 px; and a frame
of that size into a video, by codec.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.structures import InstanceData, PixelData

from mmseq.files import write_json
from mmseq.pictures.drawing import draw
from mmseq.pictures.masks import Masks
from mmseq.pictures.palette import palette
from mmseq.pictures.prediction import Instances, Prediction
from mmseq.predict.prediction_files import CODEC

RESULT = Path(__file__).parent / 'results' / 'drawing.json'
HEIGHT, WIDTH, NUMBER = 720, 1280, 20
CLASSES = tuple('abcdefgh')


def milliseconds(work: Callable[[], object]) -> float:
    """CPU time of one call, the best of five."""
    times = []
    for _ in range(5):
        start = time.process_time()
        work()
        times.append((time.process_time() - start) * 1e3)
    return round(min(times), 1)


def instances() -> Instances:
    """Squares of 150 px, their masks half as wide."""
    draw_from = np.random.default_rng(0)
    corners = draw_from.integers(0, (WIDTH - 150, HEIGHT - 150), (NUMBER, 2))
    masks = np.zeros((NUMBER, HEIGHT, WIDTH), bool)
    for mask, (left, top) in zip(masks, corners):
        mask[top : top + 150, left : left + 75] = True
    scores = np.linspace(0.9, 0.5, NUMBER, dtype=np.float32)
    boxes = np.concatenate([corners, corners + 150], axis=1).astype(np.float32)
    return Instances(boxes, np.arange(NUMBER) % len(CLASSES), scores, Masks.of(masks, (HEIGHT, WIDTH)))


def frame_milliseconds(codec: str, picture: np.ndarray) -> float:
    """A frame of a video in which a picture moves, of twenty; wall time, since encoders have threads of their own."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / 'a.mp4')
        writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*codec), 25, (WIDTH, HEIGHT))
        start = time.perf_counter()
        for shift in range(20):
            writer.write(np.roll(picture, 3 * shift, axis=1))
        writer.release()
    return round((time.perf_counter() - start) / 20 * 1e3, 1)


def main() -> None:
    # Upstream's registries fill when these are imported.
    from mmdet.structures import DetDataSample
    from mmdet.visualization import DetLocalVisualizer
    from mmseg.structures import SegDataSample
    from mmseg.visualization import SegLocalVisualizer

    picture = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    colours, found = palette(None, len(CLASSES)), instances()
    labels = (np.arange(HEIGHT)[:, None] * len(CLASSES) // HEIGHT).repeat(WIDTH, axis=1).astype(np.uint8)
    meta = dict(classes=CLASSES, palette=[tuple(colour) for colour in colours.tolist()])
    fields = dict(bboxes=found.boxes, labels=found.labels, scores=found.scores, masks=np.asarray(found.masks))
    detected = DetDataSample(pred_instances=InstanceData(**{key: torch.tensor(x) for key, x in fields.items()}))
    segmented = SegDataSample(pred_sem_seg=PixelData(data=torch.tensor(labels)[None].long()))
    detector, segmentor = DetLocalVisualizer(), SegLocalVisualizer()
    detector.dataset_meta = segmentor.dataset_meta = meta
    result = dict(
        instances_upstream=milliseconds(lambda: detector.add_datasample('a', picture, detected, draw_gt=False)),
        instances_ours=milliseconds(lambda: draw(Prediction(picture, found), CLASSES, colours)),
        classes_upstream=milliseconds(lambda: segmentor.add_datasample('a', picture, segmented, draw_gt=False)),
        classes_ours=milliseconds(lambda: draw(Prediction(picture, labels=labels), CLASSES, colours)),
    )
    coarse = np.random.default_rng(2).integers(0, 256, (9, 16, 3), dtype=np.uint8)
    smooth = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    for codec in (CODEC, 'vp09'):
        result[f'frame_{codec}'] = frame_milliseconds(codec, cv2.addWeighted(smooth, 0.9, picture, 0.1, 0))
    for name, value in result.items():
        print(f'{name:20}{value:>10} ms')
    print(write_json(RESULT, result))


if __name__ == '__main__':
    main()

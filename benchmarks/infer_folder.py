"""Images and a video through ``mmseq infer``: how much of the time is the model's.

    python benchmarks/infer_folder.py

JPEG images of 1280 x 720 px and a video of as many frames, through Mask R-CNN over Sequencer2D-nano, random weights;
the model takes them at 128 px, where reading, drawing and writing are most of the work, and at 512 px. Torch computes
with one thread, the main one, and two others read, draw and write. All is processor time per image, which can be
measured beside other work: of the main thread in the model, of the main thread elsewhere, and of the other threads.
Image after image takes the sum of the three. With free processors threads take what the main one takes. Writes
benchmarks/results/infer_folder.json.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from mmseq.datasets.sources import find
from mmseq.files import write_json
from mmseq.model.trained import load_trained
from mmseq.pictures.prediction import Prediction
from mmseq.predict.folder import infer
from mmseq.predict.prediction_files import PredictionFolder
from mmseq.predict.predictor import Predictor, Prepared

RESULT = Path(__file__).parent / 'results' / 'infer_folder.json'
CONFIG = 'configs/mask_rcnn_seq2d_nano_shapes.py'
RESIZE = 'test_dataloader.dataset.pipeline.1.scale'
HEIGHT, WIDTH = 720, 1280


def frames(number: int) -> Iterator[np.ndarray]:
    """Smooth pictures that move, with some noise."""
    draw_from = np.random.default_rng(0)
    coarse = cv2.resize(draw_from.integers(0, 256, (9, 16, 3), dtype=np.uint8), (WIDTH, HEIGHT))
    noise = draw_from.integers(0, 40, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    for place in range(number):
        yield cv2.add(np.roll(coarse, 5 * place, axis=1), noise)


def make(folder: Path, number: int) -> None:
    """The images and the video."""
    (folder / 'images').mkdir()
    writer = cv2.VideoWriter(str(folder / 'film.mp4'), cv2.VideoWriter.fourcc(*'mp4v'), 25, (WIDTH, HEIGHT))
    for place, frame in enumerate(frames(number)):
        cv2.imwrite(str(folder / 'images' / f'{place:05d}.jpg'), frame)
        writer.write(frame)
    writer.release()


class Watched(Predictor):
    """A predictor that knows its processor time, in seconds."""

    used = 0.0

    def run(self, prepared: Sequence[Prepared]) -> list[Prediction]:
        begin = time.thread_time()
        found = super().run(prepared)
        self.used += time.thread_time() - begin
        return found


def measured(predictor: Watched, source: str, out: Path, score: float) -> dict[str, float]:
    """Milliseconds for an image of a source, and the model's share of the main thread."""
    folder = PredictionFolder(out, predictor.classes, predictor.palette)
    sources = find([source])
    predictor.used, begin, whole = 0.0, time.thread_time(), time.process_time()
    infer(predictor, sources, folder, score=score, workers=2)
    folder.close({})
    main, every = time.thread_time() - begin, time.process_time() - whole
    times = dict(model=predictor.used, main_elsewhere=main - predictor.used, other_threads=every - main)
    row = {name: round(1000 * seconds / len(folder.rows), 1) for name, seconds in times.items()}
    return dict(row, share_of_model=round(predictor.used / main, 3))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--number', type=int, default=100, help='of images and of frames (default: 100)')
    number = parser.parse_args().number
    torch.set_num_threads(1)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder, number)
        for side in (128, 512):
            _, model = load_trained(CONFIG, None, options={RESIZE: (side, side)}, device='cpu')
            predictor = Watched(model)
            # About ten instances on each.
            (tried,) = predictor.predict([str(folder / 'images' / '00000.jpg')])
            assert tried.instances is not None
            score = float(tried.instances.scores[min(9, len(tried.instances) - 1)])
            for what, source in (('images', 'images'), ('video', 'film.mp4')):
                found = measured(predictor, str(folder / source), folder / f'{side}{what}', score)
                rows.append(dict(side=side, source=what, **found))
                print(rows[-1], flush=True)
    write_json(RESULT, dict(number=number, milliseconds_per_image=rows))


if __name__ == '__main__':
    main()

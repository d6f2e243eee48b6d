"""What a model found on one image, for programs and notebooks."""

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import PIL.Image

from mmseq.errors import InputError
from mmseq.pictures.drawing import draw
from mmseq.pictures.prediction import Prediction, box_of
from mmseq.predict.coco_results import CocoResults, found_on

if TYPE_CHECKING:
    import supervision

# Of the pictures that a notebook shows, in pixels.
SHOWN = 800


@dataclass(frozen=True)
class Result:
    """What a model found on an image of (H, W) pixels; what its task does not have is None.

    Args:
        prediction: in numpy, below the wanted score left out.
        classes: names of all classes.
        palette: (classes, 3) bytes.
    """

    prediction: Prediction
    classes: tuple[str, ...]
    palette: np.ndarray

    @property
    def image(self) -> np.ndarray:
        """(H, W, 3) bytes, red first."""
        return self.prediction.picture

    @property
    def boxes(self) -> np.ndarray | None:
        """Left, top, right and bottom in pixels, (N, 4), the surest first."""
        return None if self.prediction.instances is None else self.prediction.instances.boxes

    @property
    def scores(self) -> np.ndarray | None:
        """(N,) from 0 to 1."""
        return None if self.prediction.instances is None else self.prediction.instances.scores

    @property
    def labels(self) -> np.ndarray | None:
        """(N,) places in the classes."""
        return None if self.prediction.instances is None else self.prediction.instances.labels

    @property
    def names(self) -> list[str] | None:
        """N names of classes."""
        return None if self.labels is None else [self.classes[label] for label in self.labels]

    @property
    def masks(self) -> np.ndarray | None:
        """(N, H, W) booleans."""
        masks = None if self.prediction.instances is None else self.prediction.instances.masks
        return None if masks is None else np.asarray(masks)

    @property
    def limit_reached(self) -> bool:
        """Whether there may be more instances, left out because the model gives no more of an image or tile."""
        return self.prediction.cut_off is not None

    @property
    def label_map(self) -> np.ndarray | None:
        """(H, W) places in the classes, of a segmentor; of a panoptic model the count of classes is no segment."""
        return self.prediction.class_map()

    def draw(self, opacity: float = 0.5, names: bool = True) -> PIL.Image.Image:
        """The image with what was found drawn over it.

        Args:
            opacity: of masks and areas, from 0 to 1.
            names: write names and scores.
        """
        return PIL.Image.fromarray(draw(self.prediction, self.classes, self.palette, opacity, names))

    def to_coco(self, file_name: str = '') -> dict[str, Any]:
        """COCO annotations of the instances: images, annotations with masks as compressed run lengths, categories.

        Args:
            file_name: of the image.

        Raises:
            InputError: the model finds no instances.
        """
        if self.prediction.instances is None:
            raise InputError('to_coco: the model gives a label map and no instances; result.label_map has it')
        results = CocoResults(self.classes)
        results.add(found_on(self.prediction, dict(file_name=file_name), self.classes)[0])
        return results.detections()

    def to_supervision(self) -> 'supervision.Detections':
        """The instances, or of a label map the area of each class, as supervision has them.

        Raises:
            InputError: supervision is not installed.
        """
        try:
            import supervision
        except ImportError as error:
            raise InputError("supervision is not installed: pip install 'mmseq[supervision]'") from error
        boxes, masks, labels, scores = self._detections()
        names = np.array([self.classes[label] for label in labels])
        return supervision.Detections(
            xyxy=boxes, mask=masks, class_id=labels, confidence=scores, data={'class_name': names}
        )

    def _detections(self) -> tuple[np.ndarray, np.ndarray | None, np.ndarray, np.ndarray | None]:
        if (found := self.prediction.instances) is not None:
            return found.boxes, self.masks, found.labels.astype(int), found.scores
        label_map = self.label_map
        # A model that finds no instances gives a label map.
        assert label_map is not None
        labels = np.array([label for label in np.unique(label_map) if label < len(self.classes)], int)
        masks = label_map[None] == labels[:, None, None]
        boxes = np.array([box_of(mask) for mask in masks], np.float32).reshape(-1, 4)
        return boxes, masks, labels, None

    def __repr__(self) -> str:
        height, width = self.prediction.size
        return f'Result({width} x {height} px: {", ".join(self._lines()) or "nothing"})'

    def _lines(self) -> list[str]:
        rows: Sequence[dict[str, Any]] = self.prediction.by_class(self.classes)
        return [
            f'{row["count"]} {row["name"]} (up to {row["score"]:.2f})'
            if 'count' in row
            else f'{row["name"]} {row["share"]:.1%}'
            for row in rows
        ]

    def _repr_png_(self) -> bytes:
        """Shown by notebooks that take no HTML."""
        drawn = self.draw()
        drawn.thumbnail((SHOWN, SHOWN))
        buffer = io.BytesIO()
        drawn.save(buffer, 'png')
        return buffer.getvalue()

    def _repr_html_(self) -> str:
        """Shown by notebooks: the drawn image, and a line on what was found."""
        picture = base64.b64encode(self._repr_png_()).decode()
        line = html.escape(', '.join(self._lines()) or 'nothing')
        return (
            f'<figure><img src="data:image/png;base64,{picture}" alt="{line}"><figcaption>{line}</figcaption></figure>'
        )

"""A classifier as mmengine's Runner trains it."""

from collections.abc import Mapping
from typing import Any

from mmengine.model import BaseModel
from torch import Tensor
from torch.nn import functional as F

from mmseq.classify.classifier import Classifier
from mmseq.registry import MODELS


@MODELS.register_module()
class ImageClassifier(Classifier, BaseModel):
    """A backbone, its authors' pooling or a mean, and a linear map.

    Its weights have the names of :class:`mmseq.classify.Classifier`: those of the backbone begin with ``backbone.``.

    Args:
        backbone: config of a backbone with the contract of :class:`mmseq.backbones.base.Backbone`, its last stage alone
            among ``out_indices``.
        num_classes: K.
        drop_rate: dropout before the linear map.
        label_smoothing: share of every label that is spread over all classes.
        data_preprocessor: config of what makes images of a batch.
    """

    def __init__(
        self,
        backbone: Mapping[str, Any],
        num_classes: int,
        drop_rate: float = 0.0,
        label_smoothing: float = 0.0,
        data_preprocessor: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(MODELS.build(dict(backbone)), num_classes, drop_rate)
        self.label_smoothing = label_smoothing
        preprocessor = dict(data_preprocessor or dict(type='mmseq.ClassificationPreprocessor'))
        if mixing := preprocessor.get('mixing'):
            # Labels become shares of these classes; it is the loss that smooths them.
            preprocessor['mixing'] = dict(label_smoothing=0.0, num_classes=num_classes) | dict(mixing)
        self.data_preprocessor = MODELS.build(preprocessor)

    # BaseModel's has a mode; without labels it is the one of a classifier.
    def forward(self, inputs: Tensor, labels: Tensor | None = None, mode: str = 'tensor') -> Any:
        """Logits (B, K); with mode ``loss`` the loss, with ``predict`` a dict for each image.

        Args:
            inputs: (B, in_channels, H, W).
            labels: (B,), or shares (B, K) of mixed images.
            mode: ``tensor``, ``loss`` or ``predict``.
        """
        logits = self.forward_head(self.forward_features(inputs))
        if labels is None or mode == 'tensor':
            return logits
        # In float32 under mixed precision too; cross_entropy takes labels and shares alike.
        logits = logits.float()
        if mode == 'loss':
            return dict(loss=F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing))
        return [
            dict(rank=rank, label=label, scores=scores)
            for rank, label, scores in zip(ranks(logits, labels), labels.tolist(), logits.softmax(1))
        ]


def ranks(logits: Tensor, labels: Tensor) -> list[int]:
    """How many other classes have at least the score of the true one; all of them where scores are no numbers."""
    truth = logits.gather(1, labels[:, None])
    found: list[int] = ((~(logits < truth)).sum(1) - 1).tolist()
    return found

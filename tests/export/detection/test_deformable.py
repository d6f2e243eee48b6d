"""Layers before deformable attention are recorded for every size, and answer as upstream's."""

from torch import nn
from torch.nn import functional as F

from mmseq.export import Part, publish
from mmseq.export.detection.deformable import make_portable
from mmseq.export.parts import Pixels
from mmseq.export.portable import portable
from mmseq.export.program import record


class Positions(nn.Module):
    """Embeddings of a mask that is true below and to the right of somewhere."""

    def __init__(self):
        super().__init__()
        # Once mmseq has made up for what mmcv lacks here.
        from mmdet.models.layers import SinePositionalEncoding

        self.encoding = SinePositionalEncoding(4, normalize=True, offset=-0.5)

    def forward(self, images):
        maps = F.avg_pool2d(Pixels({}, 32, True)(images), 32)
        mask = maps[:, 0].cumsum(1).cumsum(2) > 2
        return (self.encoding(mask),)


def test_position_embeddings_of_every_size():
    module = Positions()
    copied = portable(module)
    make_portable(copied)
    part = Part('model', copied, ('level0',), module, 3, 32, dict(values='normalised'))
    run = record(part).module()
    for number, size in enumerate([(97, 147), (64, 96)]):
        assert publish.compare(part, run, *publish.sample(part, number, size)).worst < 1e-5
